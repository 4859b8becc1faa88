"""The configs of configs/ablations differ from their baseline by what they name, train and predict."""

import copy
import functools
import re

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from test_centermask import boosted

from conftest import CONFIGS, ROOT, build, sample

ABLATIONS = ROOT / 'configs/ablations'
ALL = sorted(path.stem for path in ABLATIONS.glob('*.py'))
BASELINES = dict(
    shapes=CONFIGS / 'centermask-lite_v19-slim-dw-ese_fpn_shapes.py', coco=CONFIGS / 'centermask_v39-ese_fpn_1x_coco.py'
)


@functools.cache
def parsed(path):
    return Config.fromfile(path)


def load(name):
    return copy.deepcopy(parsed(ABLATIONS / f'{name}.py'))


@functools.cache
def parameters(path):
    with torch.device('meta'):
        return sum(p.numel() for p in MODELS.build(parsed(path).model).parameters())


def test_both_families_are_there():
    rows = {re.sub('^(shapes|coco)_', '', name) for name in ALL}
    assert {'no-sam', 'sam-7x7', 'eq1', 'eq2-p2-p5', 'no-mask-scoring', 'vovnet-se', 'multi-scale-attention'} <= rows
    assert {name.split('_')[0] for name in ALL} == set(BASELINES)


@pytest.mark.parametrize('name', ALL)
def test_only_the_named_part_differs_from_the_baseline(name):
    cfg, baseline = load(name), parsed(BASELINES[name.split('_')[0]])
    data = name.startswith('coco_short')
    changed = {key for key in {*cfg, *baseline} if cfg.get(key) != baseline.get(key)}
    assert changed == ({'train_dataloader', 'val_dataloader', 'test_dataloader', 'scale'} if data else {'model'})
    if not data:
        parts = {key for key in {*cfg.model, *baseline.model} if cfg.model.get(key) != baseline.model.get(key)}
        assert len(parts) == (3 if 'p2-p5' in name else 1), parts


@pytest.mark.parametrize('name', [name for name in ALL if name.startswith('coco')])
def test_coco_configs_build(name):
    assert parameters(ABLATIONS / f'{name}.py') > 2e7


@pytest.mark.parametrize('name', [name for name in ALL if name.startswith('shapes')])
def test_shapes_configs_train_and_predict(name):
    torch.manual_seed(0)
    model = boosted(build(load(name).model))
    images = torch.randn(1, 3, 64, 64)
    losses = model.train().loss(images, [sample(64, 64, [[4, 6, 40, 60], [30, 2, 62, 30]], [0, 3])])
    assert {'loss_cls', 'loss_bbox', 'loss_centerness', 'loss_mask'} <= set(losses)
    assert ('loss_mask_iou' in losses) == ('no-mask-scoring' not in name)
    assert ('loss_mask_dice' in losses) == ('bce-dice' in name)
    assert all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None]
    with torch.no_grad():
        out = model.eval().predict(images, [sample(64, 64)])[0].pred_instances
    assert len(out) > 0 and out.masks.shape == (len(out), 64, 64)
    assert ('mask_scores' in out) == ('no-mask-scoring' not in name)


def test_parameters_by_hand():
    count = {
        name: parameters(ABLATIONS / f'{name}.py') for name in ALL if name.startswith('coco') and 'short' not in name
    }
    full = parameters(BASELINES['coco'])
    assert full - count['coco_no-sam'] == 2 * 9
    assert count['coco_sam-7x7'] - full == 2 * (49 - 9)
    assert count['coco_channel-attention'] - full == 256 * 257 - 2 * 9
    assert count['coco_multi-scale-attention'] - full == 3 * 2 * 4 * 9 + 3 * 4 + 1 - 2 * 9
    # eSE has n * n + n weights for the n channels of each of V-39's six modules
    ese = sum(m * (n * n + n) for m, n in ((1, 256), (1, 512), (2, 768), (2, 1024)))
    assert full - count['coco_vovnet-residual'] == ese == full - count['coco_vovnet-v1']
    assert count['coco_eq1'] == count['coco_dice'] == count['coco_eq2-p3-p7'] == full
