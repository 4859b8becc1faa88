import json

import pytest
from tiny_run import make_data, run_tool, write_config

LOSSES = ('loss', 'loss_cls', 'loss_bbox', 'loss_centerness', 'loss_mask', 'loss_mask_iou')


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    """Draws its samples, flips and positives at random, and logs every iteration."""
    folder = tmp_path_factory.mktemp('deterministic')
    path = write_config(folder / 'tiny.py', make_data(folder / 'data'))
    flip = "    dict(type='RandomFlip', prob=0.5),\n    dict(type='PackDetInputs'),\n"
    text = path.read_text().replace("    dict(type='PackDetInputs'),\n", flip, 1)
    text += 'val_cfg = val_dataloader = val_evaluator = None\nlog_processor = dict(window_size=1)\n'
    path.write_text(text + 'model.update(train_cfg=dict(rcnn=dict(sampler=dict(num=4))))\n')
    return path


def losses(config, work_dir, seed, workers, iters=6):
    options = [
        f'randomness.seed={seed}', f'train_cfg.max_iters={iters}', f'train_dataloader.num_workers={workers}',
        'default_hooks.checkpoint.interval=100',
    ]  # fmt: skip
    assert run_tool('tools/train.py', config, '--work-dir', work_dir, '--cfg-options', *options) == 0
    (log,) = work_dir.glob('*/vis_data/scalars.json')
    return [[line[name] for name in LOSSES] for line in map(json.loads, log.read_text().splitlines())]


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 2])
def test_the_same_seed_gives_the_same_losses(config, tmp_path, workers):
    first, second = (losses(config, tmp_path / run, 5, workers) for run in ('first', 'second'))
    assert len(first) == 6 and first == second
    assert losses(config, tmp_path / 'other', 6, workers, iters=2) != first[:2]
