"""Schedules, optimizers and augmentations: each recipe and each override of docs/recipes.md does what it says."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, TRANSFORMS
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from tiny_run import ROOT, make_data, run_tool, write_config

from conftest import CONFIGS, build, sample, small_config
from mmcentermask.apis import InputError, build_runner, load_config, set_auto_scale_lr, use_amp

BASES = ROOT / 'configs/_base_'
COCO = str(CONFIGS / 'centermask_v39-ese_fpn_ms-3x_coco.py')


def schedule(name):
    return Config.fromfile(BASES / f'schedules/{name}.py')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp('recipes') / 'data')


@pytest.fixture
def tiny(data, tmp_path, monkeypatch):
    """A config that trains two iterations, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return write_config(tmp_path / 'tiny.py', data)


def batch():
    """Two random images of 96 pixels with an object each, as the data loader gives them to the model."""
    torch.manual_seed(5)
    return dict(
        inputs=[torch.randint(0, 255, (3, 96, 96), dtype=torch.uint8) for _ in range(2)],
        data_samples=[sample(96, 96, [[10, 10, 50, 60]], [1]), sample(96, 96, [[30, 20, 90, 80]], [2])],
    )


def one(data_batch, index):
    return {key: [value[index]] for key, value in data_batch.items()}


@pytest.mark.parametrize(
    'name, iterations, steps, images',
    [
        ('sgd_6x', 540000, [480000, 520000], 16),
        ('sgd_24k', 24000, [18000], 8),
        ('adamw_3x', 270000, [210000, 250000], 16),
    ],
)
def test_steps(name, iterations, steps, images):
    cfg = schedule(name)
    warm_up, decay = cfg.param_scheduler
    assert (warm_up.type, warm_up.end, decay.type, decay.milestones) == ('LinearLR', 1000, 'MultiStepLR', steps)
    assert cfg.train_cfg.max_iters == iterations and 'end' not in decay and cfg.auto_scale_lr.base_batch_size == images


def with_model(folder, part):
    """Write a config of a model and one of the bases; return its path."""
    path = Path(folder, 'with_model.py')
    path.write_text(f'_base_ = {[str(BASES / "models/centermask_fpn.py"), str(BASES / part)]!r}\n')
    return str(path)


def test_cosine_of_another_length_is_one_option(tmp_path):
    config = with_model(tmp_path, 'schedules/sgd_3x-cosine.py')
    cfg = load_config(config, {'max_iters': 90000})
    assert cfg.train_cfg.max_iters == 90000 and cfg.param_scheduler[0].end == cfg.param_scheduler[1].begin == 333
    short = {'train_cfg.max_iters': 12, 'param_scheduler.0.end': 4, 'param_scheduler.1.begin': 4}
    cfg = load_config(config, short)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    # mmengine's Runner ends a scheduler with the run, unless it has an end of its own
    schedulers = [
        PARAM_SCHEDULERS.build({'end': cfg.train_cfg.max_iters, **scheduler, 'optimizer': optimizer})
        for scheduler in cfg.param_scheduler
    ]
    rates = []
    for _ in range(12):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert rates[0] == pytest.approx(0.001) and rates[4] == pytest.approx(1)
    # eight steps of cosine from 1 to 0
    assert rates[4:] == pytest.approx([(1 + math.cos(math.pi * i / 8)) / 2 for i in range(8)])


@pytest.mark.parametrize('name', ['sgd_6x', 'adamw_3x', 'adamw_scratch'])
def test_an_optimizer_takes_a_step(name):
    model = build(small_config())
    cfg = schedule(name).optim_wrapper
    wrapper = build_optim_wrapper(model, cfg)
    groups = {id(p): group for group in wrapper.optimizer.param_groups for p in group['params']}
    conv, norm = model.backbone.stem[0].conv.weight, model.backbone.stem[0].bn.weight
    assert groups[id(conv)]['weight_decay'] == cfg.optimizer.weight_decay > 0 == groups[id(norm)]['weight_decay']
    before = conv.detach().clone()
    losses = model.train_step(batch(), wrapper)
    assert math.isfinite(losses['loss'].item()) and not torch.equal(before, conv)
    # AdamW's first step moves each weight by the rate, whatever the gradient, and then by the decay
    if cfg.optimizer.type == 'AdamW':
        decayed = before * (1 - cfg.optimizer.lr * cfg.optimizer.weight_decay)
        assert (conv - decayed).abs().max().item() == pytest.approx(cfg.optimizer.lr, rel=0.01)


@pytest.mark.parametrize(
    'data, steps',
    [
        ('coco', 'sgd_1x'),
        ('coco_ms', 'sgd_6x'),
        ('coco_lite-ms', 'sgd_4x'),
        ('coco_lsj', 'sgd_3x-cosine'),
        ('coco_copy-paste', 'adamw_3x'),
        ('cityscapes', 'sgd_24k'),
        ('lvis-v1', 'sgd_2x'),
        ('openimages', 'adamw_scratch'),
    ],
)
def test_bases_of_each_kind_go_together(data, steps, tmp_path):
    """mmengine refuses bases that set the same key."""
    names = [
        'models/centermask_fpn',
        f'datasets/{data}',
        f'schedules/{steps}',
        'schedules/ema',
        'default_runtime',
        'tta',
    ]
    bases = [str(BASES / f'{name}.py') for name in names]
    (tmp_path / 'mixed.py').write_text(f'_base_ = {bases!r}\n')
    cfg = Config.fromfile(tmp_path / 'mixed.py')
    assert cfg.train_cfg.max_iters == schedule(steps).train_cfg.max_iters
    assert cfg.train_dataloader == Config.fromfile(BASES / f'datasets/{data}.py').train_dataloader
    assert cfg.custom_hooks[0].type == 'EMAHook' and cfg.tta_model.type == 'CenterMaskTTA'


class Recorder(Hook):
    """Keeps two parameters and a running statistic after every iteration."""

    names = ('backbone.stem.0.conv.weight', 'bbox_head.conv_cls.bias', 'backbone.stem.0.bn.running_mean')

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, *args, **kwargs):
        state = runner.model.state_dict()
        self.seen.append({name: state[name].clone() for name in self.names})


def train_with_ema(config, options):
    """Train in this process; return the weights after each iteration."""
    cfg = load_config(str(config), options, 'run')
    cfg.custom_hooks = schedule('ema').custom_hooks
    runner = build_runner(cfg)
    recorder = Recorder()
    runner.register_hook(recorder, 'VERY_HIGH')
    runner.train()
    return recorder.seen


@pytest.mark.slow
def test_ema_averages_the_weights_and_saves_the_average(tiny):
    options = {f'val_{name}': None for name in ('cfg', 'dataloader', 'evaluator')}
    options['train_cfg.max_iters'] = 2
    seen = train_with_ema(tiny, options)
    average = seen[0]  # the first update copies
    for step, weights in enumerate(seen[1:], 1):
        rate = (1 - 0.0002) * math.exp(-(1 + step) / 2000) + 0.0002
        average = {name: average[name] + rate * (weights[name] - average[name]) for name in average}
    saved = torch.load('run/iter_2.pth', weights_only=True)
    for name, weights in seen[-1].items():
        torch.testing.assert_close(saved['state_dict'][name], average[name])
        assert torch.equal(saved['ema_state_dict'][f'module.{name}'], weights)  # mmengine swaps them
        assert not torch.equal(saved['state_dict'][name], weights)
    # a run that goes on goes on with both
    more = train_with_ema(tiny, {**options, 'train_cfg.max_iters': 3, 'resume': True, 'load_from': 'run/iter_2.pth'})
    assert len(more) == 1
    final = torch.load('run/iter_3.pth', weights_only=True)
    assert final['ema_state_dict']['steps'] == 3
    rate = (1 - 0.0002) * math.exp(-(1 + 2) / 2000) + 0.0002
    name = Recorder.names[0]
    expected = average[name] + rate * (more[0][name] - average[name])
    torch.testing.assert_close(final['state_dict'][name], expected)


def test_accumulation_is_one_step_on_the_mean_of_the_gradients():
    """Two iterations of one image each; each normalizes its losses by its own positives."""
    model = build(small_config())
    optimizer = dict(type='SGD', lr=0.01)
    wrapper = build_optim_wrapper(model, dict(optimizer=optimizer, accumulative_counts=2))
    wrapper.initialize_count_status(model, 0, 4)
    by_hand = copy.deepcopy(model)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.train_step(one(batch(), 0), wrapper)
    assert all(torch.equal(start[name], p) for name, p in model.named_parameters())
    model.train_step(one(batch(), 1), wrapper)
    for index in range(2):
        inputs = by_hand.data_preprocessor(one(batch(), index), True)
        loss, _ = by_hand.parse_losses(by_hand(**inputs, mode='loss'))
        (loss / 2).backward()
    for (name, found), expected in zip(model.named_parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(found, start[name] - 0.01 * expected.grad, msg=name)
    assert any(not torch.equal(start[name], p) for name, p in model.named_parameters())


@pytest.mark.parametrize('counts, batch_size, rate', [(1, 4, 0.0025), (4, 4, 0.01), (2, 16, 0.02)])
def test_auto_scale_lr_counts_the_images_of_a_step(counts, batch_size, rate, tiny):
    cfg = load_config(
        str(tiny), {'optim_wrapper.accumulative_counts': counts, 'train_dataloader.batch_size': batch_size}
    )
    set_auto_scale_lr(cfg)
    runner = build_runner(cfg)
    optim_wrapper = runner.build_optim_wrapper(cfg.optim_wrapper)
    runner.scale_lr(optim_wrapper, cfg.auto_scale_lr)
    assert [group['lr'] for group in optim_wrapper.optimizer.param_groups] == pytest.approx(
        [rate] * len(optim_wrapper.optimizer.param_groups)
    )


def test_activation_checkpointing_changes_no_gradient():
    gradients, statistics = [], []
    for with_cp in (False, True):
        cfg = load_config(COCO, {'model.backbone.with_cp': with_cp})
        assert cfg.model.backbone.with_cp is with_cp
        small = small_config()
        small.backbone.with_cp = with_cp
        model = build(small)
        inputs = model.data_preprocessor(batch(), True)
        loss, _ = model.parse_losses(model(**inputs, mode='loss'))
        loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
        assert all(p.grad.abs().sum() > 0 for p in model.backbone.stem.parameters())
        statistics.append(model.backbone.stage2[0].concat.bn.running_mean)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)
    # from zero, with momentum 0.1: a module that is run again sees the batch twice
    torch.testing.assert_close(statistics[1], statistics[0] * 1.9)


def small_dataset(name, data, size=None):
    """The training data set of a recipe over the drawn data; ``size``: of its images, in the place of 1024."""
    config = with_model(Path(data).parent, f'datasets/{name}.py')
    cfg = load_config(config, {'data_root': str(data)}).train_dataloader.dataset
    inner = cfg.get('dataset', cfg)
    inner.metainfo = dict(classes=('ellipse', 'rectangle', 'triangle', 'star'))
    for transform in inner.pipeline if size is not None else ():
        for key in ('scale', 'crop_size', 'size'):
            if key in transform:
                transform[key] = (size, size)
    return DATASETS.build(cfg)


def test_large_scale_jitter(data):
    np.random.seed(0)
    dataset = small_dataset('coco_lsj', data)
    longest, areas = [], []
    for i in range(24):
        item = dataset[i % len(dataset)]
        height, width = item['inputs'].shape[1:]
        longest.append(max(height, width))
        gt = item['data_samples'].gt_instances
        boxes = gt.bboxes.tensor if hasattr(gt.bboxes, 'tensor') else gt.bboxes
        assert boxes.min() >= 0 and (boxes[:, 2] <= width).all() and (boxes[:, 3] <= height).all()
        # boxes hold what is left of the object after the cut
        torch.testing.assert_close(boxes, gt.masks.get_bboxes('hbox').tensor, atol=0.01, rtol=0)
        areas.append(float(height * width))
    # 0.1 of 1024 and up; from 1 on the crop holds the image to 1024
    assert 102 <= min(longest) < 400 and max(longest) == 1024 and len(set(longest)) > 8


def test_copy_paste_pastes_pixels_and_masks(data):
    np.random.seed(0)
    dataset = small_dataset('coco_copy-paste', data, size=128)
    first, second = dataset.dataset[0], dataset.dataset[1]
    assert first['img'].shape == second['img'].shape == (128, 128, 3)
    assert isinstance(first['gt_masks'], BitmapMasks)
    paste = TRANSFORMS.build(dict(type='CopyPaste', selected=False))  # all objects
    mixed = paste({**copy.deepcopy(first), 'mix_results': [copy.deepcopy(second)]})
    pasted = second['gt_masks'].masks.any(axis=0)
    assert pasted.sum() > 100
    np.testing.assert_array_equal(mixed['img'][pasted], second['img'][pasted])
    np.testing.assert_array_equal(mixed['img'][~pasted], first['img'][~pasted])
    count = len(second['gt_masks'])
    np.testing.assert_array_equal(mixed['gt_masks'].masks[-count:], second['gt_masks'].masks)
    assert not (mixed['gt_masks'].masks[:-count].any(axis=0) & pasted).any()


def test_copy_paste_gives_boxes_that_fit_their_masks(data):
    np.random.seed(0)
    dataset = small_dataset('coco_copy-paste', data, size=128)
    counts = [dataset.dataset.get_data_info(i)['instances'].__len__() for i in range(len(dataset))]
    more = 0
    for i in range(24):
        item = dataset[i % len(dataset)]
        gt = item['data_samples'].gt_instances
        boxes = gt.bboxes.tensor if hasattr(gt.bboxes, 'tensor') else gt.bboxes
        assert item['inputs'].shape == (3, 128, 128) and len(gt) == len(gt.masks) == len(gt.labels)
        assert gt.masks.areas.min() >= 1
        torch.testing.assert_close(boxes, gt.masks.get_bboxes('hbox').tensor, atol=1.0, rtol=0)
        more += len(gt) > counts[i % len(dataset)]
    assert more > 0  # than the image had by itself


@pytest.mark.slow
@pytest.mark.parametrize('name', ['coco_lsj', 'coco_copy-paste'])
def test_training_with_an_augmentation(name, tiny, data):
    cfg = load_config(str(tiny), {})
    config = with_model(Path(data).parent, f'datasets/{name}.py')
    cfg.train_dataloader.dataset = load_config(config, {'data_root': str(data)}).train_dataloader.dataset
    inner = cfg.train_dataloader.dataset.get('dataset', cfg.train_dataloader.dataset)
    inner.metainfo = cfg.val_dataloader.dataset.metainfo
    for transform in inner.pipeline:
        for key in ('scale', 'crop_size', 'size'):
            if key in transform:
                transform[key] = (128, 128)
    cfg.dump('small.py')
    assert run_tool('tools/train.py', 'small.py', '--work-dir', 'run') == 0
    assert torch.load('run/iter_2.pth', weights_only=True)['meta']['iter'] == 2


def with_boxes(model):
    """Let the model begin with boxes of four strides, as its own initialization gives boxes without an area."""
    torch.nn.init.constant_(model.bbox_head.conv_reg.bias, 2.0)
    return model


def test_bfloat16_trains_like_full_precision():
    """As --amp with optim_wrapper.dtype=bfloat16, whose wrapper needs an accelerator."""
    model = with_boxes(build(small_config()))
    inputs = model.data_preprocessor(batch(), True)
    results = []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            losses = model(**copy.deepcopy(inputs), mode='loss')
            total, _ = model.parse_losses(losses)
        total.backward()
        assert all(value.dtype == torch.float32 for value in losses.values())
        results.append(
            (
                {name: value.item() for name, value in losses.items()},
                {
                    name: torch.cat([p.grad.flatten() for p in part.parameters()])
                    for name, part in model.named_children()
                    if name != 'data_preprocessor'
                },
            )
        )
    (full, full_gradients), (half, half_gradients) = results
    assert set(full) == {'loss_cls', 'loss_bbox', 'loss_centerness', 'loss_mask', 'loss_mask_iou'}
    for name, value in full.items():
        assert half[name] == pytest.approx(value, rel=0.05), name
    assert set(full_gradients) == {'backbone', 'neck', 'bbox_head', 'roi_head'}
    for name, gradient in full_gradients.items():
        assert half_gradients[name].isfinite().all()
        assert half_gradients[name].norm().item() == pytest.approx(gradient.norm().item(), rel=0.1), name
        # random weights and the norms of two small images make a random walk of the gradient on its way through the
        # backbone; up to there it must be the same
        if name != 'backbone':
            assert torch.cosine_similarity(gradient, half_gradients[name], dim=0) > 0.9, name


def test_bfloat16_predicts():
    model = with_boxes(build(small_config())).eval()
    inputs = model.data_preprocessor(batch(), False)
    model.bbox_head.test_cfg.update(score_thr=0.0, max_per_img=12)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        outputs = model.bbox_head(model.extract_feat(inputs['inputs']))
        assert {level.dtype for levels in outputs for level in levels} == {torch.float32}
        results = model(**inputs, mode='predict')
    for result in results:
        found = result.pred_instances
        assert len(found) > 10 and found.masks.shape == (len(found), 96, 96)
        assert found.bboxes.isfinite().all() and found.mask_scores.isfinite().all()


@pytest.mark.parametrize('dtype', [None, 'float16', 'bfloat16'])
def test_amp_takes_the_precision_from_the_config(dtype, tiny, monkeypatch):
    monkeypatch.setattr('mmcentermask.apis.run_config.get_device', lambda: 'cuda')
    cfg = load_config(str(tiny), {} if dtype is None else {'optim_wrapper.dtype': dtype})
    use_amp(cfg)
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.get('dtype')) == ('AmpOptimWrapper', dtype)


@pytest.mark.parametrize(
    'name, dtype, message',
    [
        ('centermask_v39-ese_fpn_ms-3x_coco', 'half', 'optim_wrapper.dtype to float16 or bfloat16'),
        ('centermask_v39-ese-dcn_fpn_ms-3x_coco', 'bfloat16', 'deformable convolutions'),
    ],
)
def test_amp_refuses_what_cannot_be(name, dtype, message, monkeypatch):
    monkeypatch.setattr('mmcentermask.apis.run_config.get_device', lambda: 'cuda')
    cfg = load_config(str(CONFIGS / f'{name}.py'), {'optim_wrapper.dtype': dtype})
    with pytest.raises(InputError, match=message):
        use_amp(cfg)
