"""Trains, is killed again and again, and resumes; run by test_killed_runs.py as a process of its own.

python tests/killed_runs.py CONFIG FOLDER KILLS SEED

Imports once and forks for every run. Prints a JSON list with what was found after every kill, at last the number of
weights that differ from those of a run that nobody killed.
"""

import io
import json
import os
import random
import re
import select
import signal
import sys
import time
from pathlib import Path

import torch
from tiny_run import run_tool

import conftest  # noqa: F401
from mmcentermask import atomic_write
from mmcentermask.checkpoints import load_safely

config, folder, kills, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
choose = random.Random(seed)


def start(work_dir, iters, halt_at=None):
    """Fork a run; return its id and a pipe, on which it writes a byte a file, in the middle of writing it.

    After byte ``halt_at`` it waits to be killed.
    """
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return pid, read
    log = os.open(folder / 'log.txt', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    files = []

    class Half(io.FileIO):
        """A file that stops after its first half."""

        def write(self, content):
            super().write(content[: len(content) // 2])
            files.append(1)
            os.write(write, b'.')
            if len(files) == halt_at:
                time.sleep(600)
            super().write(content[len(content) // 2 :])

    atomic_write.open = Half
    options = [f'train_cfg.max_iters={iters}', 'randomness.seed=1', 'default_hooks.checkpoint.max_keep_ckpts=2']
    code = run_tool('tools/train.py', config, '--work-dir', work_dir, '--resume', '--cfg-options', *options)
    os._exit(code)


def wait_for(pipe, number):
    """Wait until ``number`` files have been begun."""
    while number > 0:
        if not select.select([pipe], [], [], 120)[0]:
            raise TimeoutError('no checkpoint in two minutes')
        got = len(os.read(pipe, number))
        if got == 0:
            raise RuntimeError('the run ended: ' + (folder / 'log.txt').read_text()[-3000:])
        number -= got


def finish(work_dir, iters):
    pid, _ = start(work_dir, iters)
    assert os.waitpid(pid, 0)[1] == 0, (folder / 'log.txt').read_text()[-3000:]


def iteration(path):
    """The iteration that a checkpoint file holds; raises where the file is not whole."""
    return load_safely(path)['meta']['iter']


found = []
for number in range(kills):
    work_dir = folder / 'killed'
    # files in the order checkpoint, last_checkpoint, checkpoint, ...
    in_writing = number % 2 == 0
    begun = choose.randint(1, 5)
    pid, pipe = start(work_dir, 1000, begun if in_writing else None)
    wait_for(pipe, begun)
    if not in_writing:
        time.sleep(choose.uniform(0, 0.6))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(pipe)
    last = work_dir / 'last_checkpoint'
    found.append(
        dict(
            in_writing=in_writing,
            begun=begun,
            unfinished=[path.name for path in work_dir.glob('*.unfinished')],
            checkpoints=sorted(iteration(path) for path in work_dir.glob('*.pth')),
            last=iteration(last.read_text()) if last.exists() else 0,
        )
    )
end = found[-1]['last'] + 2
finish(folder / 'killed', end)
resumed = [int(n) for n in re.findall(r', resumed at iteration (\d+)', (folder / 'log.txt').read_text())]
left = sorted(path.name for path in (folder / 'killed').iterdir() if path.is_file() and path.suffix != '.py')
finish(folder / 'whole', end)
one, other = (load_safely(folder / run / f'iter_{end}.pth')['state_dict'] for run in ('killed', 'whole'))
differ = sum(not torch.equal(one[name], other[name]) for name in one)
print(json.dumps(dict(found=found, resumed=resumed, left=left, end=end, weights=len(one), differ=differ)))
