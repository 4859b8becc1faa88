"""Settings of --cfg-options and of child configs reach everything that follows from them."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS

from conftest import CONFIGS
from mmcentermask.apis import InputError, load_config
from mmcentermask.apis.run_check import build_model, check_run
from mmcentermask.errors import ConfigError

CUSTOM = str(CONFIGS / 'centermask-lite_v19-slim-dw-ese_fpn_custom.py')


def test_max_iters_scales_the_schedule_and_limits_the_intervals():
    cfg = load_config(CUSTOM, {'max_iters': 100})
    assert cfg.train_cfg.max_iters == cfg.train_cfg.val_interval == cfg.max_iters == 100
    assert cfg.param_scheduler[0].end == cfg.param_scheduler[1].begin == 4  # 200 of 5000
    assert cfg.default_hooks.checkpoint.interval == 100 and cfg.default_hooks.logger.interval == 10
    check_run(cfg)


def test_of_two_iterations_no_warm_up_is_left():
    cfg = load_config(CUSTOM, {'max_iters': 2})
    assert [scheduler.type for scheduler in cfg.param_scheduler] == ['CosineAnnealingLR']
    assert cfg.default_hooks.logger.interval == 2
    check_run(cfg)


@pytest.mark.parametrize('max_iters', [300, 600, 1000])
def test_a_warm_up_ends_at_the_full_rate(max_iters):
    """Of 300 in 360000 iterations it would be a single one."""
    cfg = load_config('centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco', {'max_iters': max_iters})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedulers = [PARAM_SCHEDULERS.build(dict(s), default_args=dict(optimizer=optimizer)) for s in cfg.param_scheduler]
    for _ in range(max_iters // 2):
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert optimizer.param_groups[0]['lr'] == pytest.approx(1)


def test_steps_move_in_proportion():
    cfg = load_config(str(CONFIGS / 'centermask_v39-ese_fpn_1x_coco.py'), {'max_iters': 9000})
    assert cfg.param_scheduler[0].end == 100 and cfg.param_scheduler[1].milestones == [6000, 8000]


def test_classes_reach_datasets_and_model():
    cfg = load_config(CUSTOM, {'classes': ['cat', 'dog']})
    names = [cfg[f'{split}_dataloader'].dataset.metainfo.classes for split in ('train', 'val', 'test')]
    assert names == [('cat', 'dog')] * 3 and cfg.model.num_classes == 2
    # a palette of another number of classes would not fit
    shapes = load_config(str(CONFIGS / 'centermask-lite_v19-slim-dw-ese_fpn_shapes.py'), {'classes': 'star'})
    assert shapes.train_dataloader.dataset.metainfo == dict(classes=('star',)) and shapes.model.num_classes == 1


def test_a_child_config_sets_the_three_alone(tmp_path):
    (tmp_path / 'own.py').write_text(
        f"_base_ = {CUSTOM!r}\nclasses = ('cat', 'dog')\ndata_root = 'elsewhere'\nmax_iters = 50\n"
    )
    cfg = load_config(str(tmp_path / 'own.py'))
    assert cfg.model.num_classes == 2 and cfg.train_dataloader.dataset.metainfo.classes == ('cat', 'dog')
    assert cfg.train_dataloader.dataset.data_root == cfg.test_dataloader.dataset.data_root == 'elsewhere'
    assert cfg.val_evaluator.ann_file == 'elsewhere/annotations/val.json' and cfg.train_cfg.max_iters == 50
    assert cfg.param_scheduler[0].end == 2


def test_a_child_config_that_sets_the_parts_is_taken_at_its_word(tmp_path):
    text = (
        f'_base_ = {CUSTOM!r}\nmax_iters = 50\ntrain_cfg = dict(max_iters=70)\ntrain_dataloader = dict(batch_size=1)\n'
    )
    (tmp_path / 'own.py').write_text(text + "data_root = 'elsewhere'\n")
    cfg = load_config(str(tmp_path / 'own.py'))
    assert cfg.train_cfg.max_iters == 70 and cfg.train_dataloader.dataset.data_root == 'data/custom'


def test_max_iters_beside_other_settings_of_the_run_in_a_child_config(tmp_path):
    """Its own schedule is not scaled, and train_cfg without a length does not hide max_iters."""
    text = "param_scheduler = [dict(type='MultiStepLR', by_epoch=False, milestones=[600, 800])]\n"
    (tmp_path / 'own.py').write_text(
        f'_base_ = {CUSTOM!r}\nmax_iters = 1000\n{text}train_cfg = dict(val_interval=200)\n'
    )
    cfg = load_config(str(tmp_path / 'own.py'))
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (1000, 200)
    assert cfg.param_scheduler[0].milestones == [600, 800]


def test_the_three_reach_what_follows_from_a_grandchild_too(tmp_path):
    (tmp_path / 'own.py').write_text(
        f"_base_ = {CUSTOM!r}\nclasses = ('cat',)\ndata_root = 'elsewhere'\nmax_iters = 50\n"
    )
    (tmp_path / 'run.py').write_text("_base_ = 'own.py'\ntrain_cfg = dict(val_interval=10)\n")
    cfg = load_config(str(tmp_path / 'run.py'))
    assert cfg.train_cfg == dict(type='IterBasedTrainLoop', max_iters=50, val_interval=10)
    assert cfg.model.num_classes == 1 and cfg.train_dataloader.dataset.data_root == 'elsewhere'
    (tmp_path / 'run.py').write_text("_base_ = 'own.py'\nmax_iters = 80\ntrain_cfg = dict(max_iters=70)\n")
    assert load_config(str(tmp_path / 'run.py')).train_cfg.max_iters == 70


@pytest.mark.parametrize(
    'options, message',
    [
        ({'maxiters': 2}, 'did you mean max_iters'),
        ({'num_classes': 2}, 'did you mean model.num_classes'),
        ({'batch_size': 2}, 'did you mean train_dataloader.batch_size'),
        ({'train_pipeline': []}, 'train_pipeline: it was used while the config file was read'),
        ({'lr': 0.1}, 'lr: nothing reads this name'),
        ({'max_iters': '5x'}, "max_iters is '5x'"),
        ({'max_iters': 0}, 'max_iters is 0'),
        ({'classes': []}, 'names no class'),
        ({'custom_imports.imports': ['a']}, 'nothing reads it now'),
        ({'model.bakbone.arch': 'V-39'}, r'CenterMask has no bakbone; did you mean backbone\?'),
        ({'model.backbone.depht': 3}, 'VoVNet has no depht; it takes arch, '),
        ({'model.test_cfg.max_per_image': 3}, r'did you mean max_per_img\?'),
        ({'model.test_cfg.nms.iou_thr': 0.5}, r'did you mean iou_threshold\?'),
        ({'optim_wrapper.optimizer.lrr': 1}, r'has no lrr; did you mean lr\?'),
        ({'default_hooks.checkpoint.intervall': 1}, r'did you mean interval\?'),  # told after the run otherwise
        ({'test_dataloader.dataset.pipeline.1.scal': 1}, r'Resize has no scal; did you mean scale\?'),
        ({'test_dataloader.dataset.pipeline.9.scale': 1}, 'Index 9 exceeds the length of list'),
        ({'model.num_classes.x': 1}, 'does not fit the config'),
        ({'model.test_cfg.max_per_img': 'many'}, "is 'many', where the config has 50: give a number"),
        ({'train_cfg.val_interval': 0}, '1 or more'),
    ],
)
def test_an_option_that_would_change_nothing_is_told(options, message):
    with pytest.raises(InputError, match=message):
        load_config(CUSTOM, options)


def test_options_that_the_config_has_not_yet():
    options = {
        'model.backbone.with_cp': True,
        'model.backbone.init_cfg.type': 'Pretrained',
        'model.backbone.init_cfg.checkpoint': 'vovnet39.pth',
        'model.neck._delete_': True,
        'model.neck.type': 'PAFPN',
        'model.neck.in_channels': [256, 384, 512],
        'model.test_cfg.min_bbox_size': 2,
        'default_hooks.checkpoint.save_best': 'coco/segm_mAP',
        'optim_wrapper.paramwise_cfg.bias_decay_mult': 0,
        'train_dataloader.pin_memory': True,
    }
    cfg = load_config(CUSTOM, options)
    assert cfg.model.neck == dict(type='PAFPN', in_channels=[256, 384, 512])
    assert cfg.model.backbone.init_cfg.checkpoint == 'vovnet39.pth' and cfg.model.backbone.with_cp


def test_a_name_of_a_config_file_that_nothing_reads(tmp_path, capsys):
    lines = [
        f'_base_ = {CUSTOM!r}',
        "custom_imports = dict(imports=['mmcentermask'])",
        'batch = 4',
        'train_dataloader = dict(batch_size=batch)',
        '_note = 1',
    ]
    (tmp_path / 'own.py').write_text('\n'.join([*lines, 'modle = dict(num_classes=3)', 'train_pipeline = []']))
    load_config(str(tmp_path / 'own.py'))
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith('sets modle, which nothing reads; did you mean model?') and 'sets train_pipeline' in second
    (tmp_path / 'own.py').write_text('\n'.join(lines))
    load_config(str(tmp_path / 'own.py'))
    assert capsys.readouterr().err == ''


def test_weights_for_a_model_that_has_none(tmp_path):
    (tmp_path / 'own.py').write_text(f'_base_ = {CUSTOM!r}\nmodel = dict(backbone=dict(init_cfg=None))\n')
    weights = dict(type='Pretrained', checkpoint='a.pth')
    options = {f'model.backbone.init_cfg.{key}': value for key, value in weights.items()}
    assert load_config(str(tmp_path / 'own.py'), options).model.backbone.init_cfg == weights


class OwnNeck:
    def __init__(self, depth):
        raise ValueError('of the user')


@pytest.mark.parametrize(
    'neck, message',
    [
        (dict(type='FPNN'), "the config has the type 'FPNN', which is registered nowhere; did you mean FPN"),
        (dict(type='Qzx'), 'or import what registers it'),
        (dict(type='FPN', in_chanels=[1]), 'FPN of the config has no in_chanels; did you mean in_channels?'),
        (dict(type='FPN', in_channels=3), r'the config cannot be built \(TypeError: .*missing'),
        (dict(type=OwnNeck, depth=3), r'cannot be built \(ValueError: of the user; test_config_options.py, line \d+\)'),
    ],
)
def test_what_cannot_be_built_is_told_in_one_sentence(neck, message):
    cfg = Config.fromfile(CUSTOM)
    cfg.model.neck = neck
    with pytest.raises(ConfigError, match=message):
        build_model(cfg)


@pytest.mark.parametrize(
    'options, message',
    [
        ({'train_cfg': dict(type='EpochBasedTrainLoop', max_epochs=1, _delete_=True)}, "to 'DefaultSampler'"),
        ({'visualizer.vis_backends': [dict(type='TensorboardVisBackend')]}, 'pip install tensorboard'),
    ],
)
def test_a_run_that_could_not_end_well_is_refused(options, message, monkeypatch):
    monkeypatch.setattr('mmcentermask.apis.run_check.find_spec', lambda name: None)
    with pytest.raises(InputError, match=message):
        check_run(load_config(CUSTOM, options))


def test_a_scheduler_that_would_begin_after_the_run_is_left_out():
    cfg = load_config(CUSTOM, {'train_cfg.max_iters': 100})
    assert [scheduler.type for scheduler in cfg.param_scheduler] == ['LinearLR'] and cfg.train_cfg.val_interval <= 100


def test_epochs_with_a_sampler_that_ends_are_fine():
    epochs = {'train_cfg': dict(type='EpochBasedTrainLoop', max_epochs=1, _delete_=True)}
    check_run(load_config(CUSTOM, {**epochs, 'train_dataloader.sampler.type': 'DefaultSampler'}))
