"""Every config builds, is the published model, and says how it trains."""

import copy
import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS, MODELS, TRANSFORMS
from mmengine.config import Config

from conftest import CONFIGS, ROOT, published
from mmcentermask.checkpoints import known_weights
from mmcentermask.datasets.config_datasets import leaves
from mmcentermask.model_index import find_starts

# sums over the shapes of the official checkpoints, norms counted, running statistics not
PARAMETERS = json.loads((ROOT / 'tests/data/parameter_counts.json').read_text())
ALL = published()
EVERY = [
    ROOT / 'configs' / folder / f'{name}.py'
    for folder in ('centermask', 'mixed', 'ablations')
    for name in published(ROOT / 'configs' / folder)
]


@functools.cache
def parsed(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


def load(name):
    return copy.deepcopy(parsed(name))


@pytest.mark.parametrize('name', sorted(PARAMETERS))
def test_parameters_are_those_of_the_official_checkpoint(name):
    with torch.device('meta'):
        model = MODELS.build(load(name).model)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize('name', [name for name in ALL if re.search('_v(39|57)-', name)])
def test_vovnets_that_timm_has_start_from_its_weights(name):
    backbone = load(name).model.backbone
    row = known_weights()[backbone.init_cfg.checkpoint.removeprefix('timm://')]
    assert row['what'].startswith(f'VoVNet {backbone.arch},') and row['licence'] == 'Apache-2.0'


def test_every_config_starts_from_weights_that_everybody_may_use_or_says_that_it_has_none():
    starts = {name: checkpoint for checkpoint, names in find_starts().items() for name in names}
    for name in ALL:
        init_cfg = load(name).model.backbone.get('init_cfg')
        assert starts.get(name) == (init_cfg and init_cfg.checkpoint), name
        if init_cfg is None:
            assert 'scratch' in (CONFIGS / f'{name}.py').read_text(), name
    licences = {known_weights()[checkpoint.partition('://')[2]]['licence'] for checkpoint in starts.values()}
    assert licences == {'Apache-2.0', 'BSD-3-Clause', 'CC BY-SA 3.0'}


def test_every_published_config_is_there():
    two = ['r50', 'r101', 'x101-32x8d', 'v39-ese', 'v57-ese', 'v99-ese']
    names = {
        f'centermask_{v}_fpn_ms-3x_coco' for v in [*two, 'v19-ese', 'mv2', 'v39-ese-dcn', 'v57-ese-dcn', 'v99-ese-dcn']
    }
    names |= {f'centermask_{v}_fpn_ms-2x_coco' for v in two}
    names |= {f'centermask_{v}_fpn_1x_coco' for v in ('r50', 'v39-ese')}
    lite = ['mv2', 'r50', 'v19-slim-dw-ese', 'v19-slim-ese', 'v19-ese', 'v39-ese']
    names |= {f'centermask-lite_{v}_fpn_ms-4x_coco' for v in lite}
    names |= {f'panoptic-centermask_{v}_fpn_ms-3x_coco' for v in two}
    assert names == set(PARAMETERS) and names <= set(ALL)


@pytest.mark.parametrize('name', ALL)
def test_all_transforms_exist_and_norms_are_frozen_where_they_start_from_weights(name):
    cfg = load(name)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        for dataset in leaves(loader.dataset):
            for transform in dataset.pipeline:
                assert TRANSFORMS.get(transform.type) is not None
            assert DATASETS.get(dataset.type) is not None
    scratch = cfg.model.backbone.get('init_cfg') is None
    assert cfg.model.backbone.norm_eval is not scratch
    assert cfg.model.backbone.norm_cfg.requires_grad is scratch


@pytest.mark.parametrize(
    'name, iterations, steps, short, long',
    [
        ('centermask_v39-ese_fpn_1x_coco', 90000, [60000, 80000], {800}, 1333),
        ('centermask_v39-ese_fpn_ms-2x_coco', 180000, [120000, 160000], set(range(640, 801, 32)), 1333),
        ('centermask_v39-ese_fpn_ms-3x_coco', 270000, [210000, 250000], set(range(640, 801, 32)), 1333),
        ('centermask-lite_v39-ese_fpn_ms-4x_coco', 360000, [300000, 340000], {580, 600}, 1000),
    ],
)
def test_recipes(name, iterations, steps, short, long):
    cfg = load(name)
    warm_up, decay = cfg.param_scheduler
    assert (warm_up.type, warm_up.start_factor, warm_up.end) == ('LinearLR', 0.001, 1000)
    assert (decay.type, decay.milestones, decay.gamma) == ('MultiStepLR', steps, 0.1)
    assert cfg.train_cfg.max_iters == iterations and 'end' not in decay  # mmengine's Runner ends it with the run
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == ('SGD', 0.01, 0.9, 0.0001)
    assert cfg.optim_wrapper.paramwise_cfg.norm_decay_mult == 0 and cfg.auto_scale_lr.base_batch_size == 16
    resize = next(t for t in cfg.train_dataloader.dataset.pipeline if 'Resize' in t.type)
    scales = resize.scales if 'scales' in resize else [resize.scale]
    assert {min(s) for s in scales} == short and {max(s) for s in scales} == {long}
    test = next(t for t in cfg.test_dataloader.dataset.pipeline if t.type == 'Resize')
    assert tuple(test.scale) == ((1333, 800) if long == 1333 else (1000, 600))


def test_cosine_recipe_takes_the_place_of_the_steps():
    cfg = Config.fromfile(ROOT / 'configs/_base_/schedules/sgd_3x-cosine.py')
    assert [s.type for s in cfg.param_scheduler] == ['LinearLR', 'CosineAnnealingLR']
    assert cfg.param_scheduler[1].begin == 1000 and 'end' not in cfg.param_scheduler[1]
    assert cfg.train_cfg.max_iters == 270000


def test_normalization_and_resnet_styles():
    for name in PARAMETERS:
        cfg = load(name).model
        assert cfg.data_preprocessor.mean == [103.53, 116.28, 123.675] and not cfg.data_preprocessor.bgr_to_rgb
        assert cfg.data_preprocessor.std == ([57.375, 57.12, 58.395] if 'x101' in name else [1.0, 1.0, 1.0])
        assert cfg.data_preprocessor.pad_size_divisor == 32
        if cfg.backbone.type in ('ResNet', 'ResNeXt'):
            assert cfg.backbone.style == ('pytorch' if 'x101' in name else 'caffe') and cfg.backbone.frozen_stages == 1


def test_a_variant_is_a_few_lines_and_at_most_four_levels_deep():
    def depth(path):
        bases = re.findall(r"'(\.[^']*\.py)'", re.sub('(?m)^#.*', '', path.read_text()).split('\n\n')[0])
        return 1 + max((depth((path.parent / base).resolve()) for base in bases), default=0)

    for path in EVERY:
        assert depth(path) <= 4, path
        if path.stem in PARAMETERS:
            assert len(path.read_text().splitlines()) <= 14, path


@pytest.mark.parametrize('path', EVERY, ids=lambda path: path.stem)
def test_a_config_opens_with_command_hardware_hours_and_ap(path):
    """Hours and AP are those of a run of ours, or blank."""
    line = path.read_text().splitlines()[0]
    match = re.fullmatch(r'# (.+) \| (.+) \| hours:( [\d.]+)? \| AP:( [\d.]+ / [\d.]+)?', line)
    assert match, line
    command, hardware = match[1].split(), match[2]
    if command == ['make', 'demo']:
        assert path.stem in (ROOT / 'demo/run_demo.sh').read_text()
        return
    script, config = command[-2 if command[0] == 'python' else 0], command[1 if command[0] != 'python' else -1]
    assert (ROOT / script).is_file() and ROOT / config == path
    assert hardware.split()[0] == (command[2] if command[0].endswith('.sh') else '1')


@pytest.mark.parametrize('path', sorted((ROOT / 'configs/_base_/datasets').glob('*.py')), ids=lambda path: path.stem)
def test_training_reads_masks_and_says_so(path):
    """SAHI looks for a literal with_mask=True among the transforms."""
    for dataset in leaves(Config.fromfile(path).train_dataloader.dataset):
        loader = next(transform for transform in dataset.pipeline if 'Annotations' in transform.type)
        assert loader.with_mask is True and loader.with_bbox is True


def test_the_environment_variable_moves_every_path(tmp_path):
    code = (
        'from mmengine.config import Config; import sys; c = Config.fromfile(sys.argv[1]);'
        'print(c.train_dataloader.dataset.data_root, c.val_dataloader.dataset.data_root,'
        'c.test_dataloader.dataset.data_root, c.val_evaluator.ann_file, c.test_evaluator.ann_file)'
    )
    config = CONFIGS / 'centermask-lite_v39-ese_fpn_ms-4x_coco.py'
    env = dict(os.environ, MMDET_DATASETS=str(tmp_path / 'coco'), PYTHONPATH=str(ROOT))
    out = subprocess.run([sys.executable, '-c', code, str(config)], env=env, capture_output=True, text=True, check=True)
    root, annotations = str(tmp_path / 'coco'), str(tmp_path / 'coco/annotations/instances_val2017.json')
    assert out.stdout.strip().splitlines()[-1].split() == [root, root, root, annotations, annotations]


def test_one_num_classes_by_cfg_options():
    cfg = load('centermask_v39-ese_fpn_ms-3x_coco')
    cfg.merge_from_dict({'model.num_classes': 5})
    with torch.device('meta'):
        model = MODELS.build(cfg.model)
    heads = model.bbox_head, model.roi_head.mask_head, model.roi_head.mask_iou_head
    assert [head.num_classes for head in heads] == [5, 5, 5]


def test_the_counts_cover_only_configs_that_exist():
    assert all(Path(CONFIGS / f'{name}.py').is_file() for name in PARAMETERS)


@pytest.mark.parametrize('name', [name for name in ALL if re.search('scratch|shapes|custom', name)])
def test_training_from_scratch_warms_up_and_clips_gradients(name):
    cfg = load(name)
    warm_up = cfg.param_scheduler[0]
    assert warm_up.type == 'LinearLR' and warm_up.start_factor == 0.01 and not warm_up.by_epoch
    assert warm_up.begin == 0 and warm_up.end >= 50 and cfg.param_scheduler[1].begin == warm_up.end
    assert cfg.optim_wrapper.clip_grad.max_norm == 10


@pytest.mark.parametrize('name', ALL)
def test_checkpoints_are_resumable_and_losses_are_watched(name):
    hooks = load(name).default_hooks
    assert hooks.checkpoint.type == 'ResumableCheckpointHook' and not hooks.checkpoint.by_epoch
    assert hooks.invalid_loss.type == 'InvalidLossHook'
