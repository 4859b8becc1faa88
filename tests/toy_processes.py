"""What happens in several processes, run by test_toy_processes.py under torchrun; each writes FOLDER/RANK.json."""

import errno
import json
import math
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from toy_run import Seen, Toy, toy_runner

import conftest  # noqa: F401
from mmcentermask.apis import end_processes
from mmcentermask.errors import InvalidLossError, OutputError

folder = Path(sys.argv[1])
dist.init_process_group('gloo', timeout=timedelta(seconds=60))  # a process that waits for none fails
rank = dist.get_rank()
wrapper = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)


def train(name, iters, bad=None, accumulate=1, skip=False, **options):
    """Train in all processes; return what this one saw, its weights and how many batches were skipped."""
    torch.manual_seed(0)  # the same weights in every run
    seen = Seen()
    runner = toy_runner(
        folder / name,
        iters,
        model=Toy(bad),
        hooks=[seen, dict(type='InvalidLossHook', skip=skip, interval=5)],
        runner_launcher='pytorch',
        runner_cfg=dict(model_wrapper_cfg=wrapper),
        runner_randomness=dict(seed=3, diff_rank_seed=True),
        runner_optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1), accumulative_counts=accumulate),
        **options,
    )
    runner.train()
    weights = [value.tolist() for value in runner.model.state_dict().values()]
    return dict(
        order=seen.order, losses=seen.losses, weights=weights, skipped=runner.message_hub.get_info('skipped_batches', 0)
    )


class Counting(Toy):
    """A Toy whose batch norm sees other numbers in each process."""

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(3)

    def forward(self, inputs, index, data_samples, mode='tensor'):
        if mode == 'predict':
            at_validation.append(self.norm.running_mean.tolist())
        else:
            self.norm(torch.stack(inputs))
        return super().forward(inputs, index, data_samples, mode)


def means_at_validation_and_in_the_file():
    """Train with statistics that differ by process; return them as validated, as averaged for EMA, and as saved."""
    sync, ema = dict(type='SyncModelBuffersHook'), dict(type='EMAHook', momentum=0.5, update_buffers=True, priority=49)
    options = dict(
        runner_launcher='pytorch', runner_cfg=dict(model_wrapper_cfg=dict(wrapper, find_unused_parameters=True))
    )
    runs = {}
    for name, hooks in dict(plain=[], synced=[sync], averaged=[ema, sync]).items():
        at_validation.clear()
        toy_runner(folder / name, 2, model=Counting(), hooks=hooks, values=[0.5, 0.6], **options).train()
        saved = torch.load(folder / name / 'iter_2.pth', weights_only=False)['state_dict']['norm.running_mean']
        runs[name] = dict(validated=at_validation[-1], saved=saved.tolist())
    return runs


at_validation = []
found = dict(whole=train('whole', 6), begun=train('parts', 4), ended=train('parts', 6, runner_resume=True))
bad = {3: math.nan} if rank == 1 else {}
found['skipped'] = train('skipped', 6, bad, skip=True)
found['accumulated'] = train('accumulated', 8, {4: math.nan} if rank == 1 else {}, 2, skip=True)
try:
    train('stopped', 6, bad)
except InvalidLossError as error:
    found['stopped'] = str(error)
if rank == 0:
    fsync = os.fsync

    def full(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    os.fsync = full
try:
    train('full', 2)
except OutputError as error:
    found['full'] = str(error)
if rank == 0:
    os.fsync = fsync
found['means'] = means_at_validation_and_in_the_file()
(folder / f'{rank}.json').write_text(json.dumps(found))
end_processes(0)
