"""Settings of --cfg-options and of child configs reach everything that follows from them."""

import pytest

from conftest import CONFIGS
from mmcentermask.apis import InputError, load_config
from mmcentermask.apis.run_check import check_run

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
    ],
)
def test_an_option_that_would_change_nothing_is_told(options, message):
    with pytest.raises(InputError, match=message):
        load_config(CUSTOM, options)


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
