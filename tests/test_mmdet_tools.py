"""mmdet's own tools work on our configs."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import mmdet
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from tiny_run import ROOT, make_data, run_tool

from conftest import CONFIGS

TOOLS = Path(mmdet.__file__).parent / '.mim/tools'
SHAPES = CONFIGS / 'centermask-lite_v19-slim-dw-ese_fpn_shapes.py'
# mmdet reads data_root before its --cfg-options, so a file names the folder, as mmdet's users do
CONFIG = """
_base_ = {base!r}
data_root = {data!r}
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + '/annotations/instances_val2017.json')
test_evaluator = val_evaluator
train_cfg = dict(max_iters=1, val_interval=1)
param_scheduler = None
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('mmdet_tools')
    (folder / 'own.py').write_text(CONFIG.format(base=str(SHAPES), data=str(make_data(folder / 'data'))))
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(folder / 'own.py').model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / 'weights.pth')
    return folder


def run(folder, *command):
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', MPLBACKEND='agg')
    command = [sys.executable, *map(str, command)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
def test_analyze_results_draws_the_best_and_the_worst(folder):
    run(folder, TOOLS / 'test.py', 'own.py', 'weights.pth', '--work-dir', 'theirs', '--out', 'theirs.pkl')
    options = ['--work-dir', folder / 'ours', '--out', folder / 'ours.pkl']
    assert run_tool('tools/test.py', folder / 'own.py', folder / 'weights.pth', *options) == 0
    theirs, ours = (pickle.loads((folder / f'{name}.pkl').read_bytes()) for name in ('theirs', 'ours'))
    assert len(theirs) == 2 and [result.keys() for result in ours] == [result.keys() for result in theirs]
    run(folder, TOOLS / 'analysis_tools/analyze_results.py', 'own.py', 'ours.pkl', 'drawn', '--topk', '1')
    assert len(list((folder / 'drawn/good').iterdir())) == len(list((folder / 'drawn/bad').iterdir())) == 1


@pytest.mark.slow
def test_train_writes_a_checkpoint(folder):
    run(folder, TOOLS / 'train.py', 'own.py', '--work-dir', 'train')
    assert (folder / 'train/iter_1.pth').is_file()


@pytest.mark.slow
def test_browse_dataset_draws_every_image(folder):
    run(folder, TOOLS / 'analysis_tools/browse_dataset.py', 'own.py', '--not-show', '--output-dir', 'browse')
    assert len(list((folder / 'browse').iterdir())) == 6


@pytest.mark.slow
def test_get_flops_counts_the_parameters(folder):
    out = run(folder, TOOLS / 'analysis_tools/get_flops.py', 'own.py', '--num-images', '1')
    assert 'Params: 11.007M' in out
