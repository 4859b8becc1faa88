import json
import os
import subprocess
import sys

import pytest
from tiny_run import make_data, write_config

from conftest import ROOT

KILLS = 10


@pytest.mark.slow
def test_ten_kills_lose_nothing(tmp_path):
    config = write_config(tmp_path / 'tiny.py', make_data(tmp_path / 'data'))
    flip = "    dict(type='RandomFlip', prob=0.5),\n    dict(type='PackDetInputs'),\n"
    text = config.read_text().replace("    dict(type='PackDetInputs'),\n", flip, 1)
    config.write_text(text + 'val_cfg = val_dataloader = val_evaluator = None\n')
    command = [sys.executable, str(ROOT / 'tests/killed_runs.py'), str(config), str(tmp_path), str(KILLS), '5']
    env = dict(os.environ, PYTHONPATH=f'{ROOT}:{ROOT / "tests"}', OMP_NUM_THREADS='1')
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    found = told['found']
    assert len(found) == KILLS
    # half of the kills fell into the writing of a checkpoint or of last_checkpoint
    assert all(len(kill['unfinished']) == 1 for kill in found if kill['in_writing'])
    assert {name.split('.')[0].split('_')[0] for kill in found for name in kill['unfinished']} == {'iter', 'last'}
    before = 0
    for kill in found:
        # files come in pairs, a checkpoint and last_checkpoint, and each pair that was whole counts
        least = before + (kill['begun'] - 1) // 2
        assert kill['last'] == least if kill['in_writing'] else kill['last'] >= least
        # a checkpoint counts once last_checkpoint names it; the one after it may be whole, too
        assert kill['last'] in [*kill['checkpoints'], 0] and max([0, *kill['checkpoints']]) - kill['last'] in (0, 1)
        before = kill['last']
    assert told['resumed'] == [kill['last'] for kill in found if kill['last']]
    assert set(told['left']) == {f'iter_{told["end"] - 1}.pth', f'iter_{told["end"]}.pth', 'last_checkpoint'}
    assert told['weights'] > 200 and told['differ'] == 0
