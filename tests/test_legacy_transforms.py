"""The training data of CenterMaskV1: numbers computed by hand from maskrcnn-benchmark's rules."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import PolygonMasks
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData
from PIL import Image
from torch import nn

from conftest import CONFIGS, sample
from mmcentermask.datasets import FilterLegacyBoxes, LegacyRandomFlip, LegacyResize
from mmcentermask.models import CenterMaskV1


def results(height, width, boxes):
    """An image with a rectangle as the polygon of each box."""
    polygons = [[np.array([x1, y1, x2, y1, x2, y2, x1, y2], np.float64)] for x1, y1, x2, y2 in boxes]
    return dict(
        img=np.random.RandomState(0).randint(0, 256, (height, width, 3), dtype=np.uint8),
        img_shape=(height, width),
        gt_bboxes=HorizontalBoxes(torch.tensor(boxes, dtype=torch.float32)),
        gt_bboxes_labels=np.arange(len(boxes)),
        gt_ignore_flags=np.zeros(len(boxes), bool),
        gt_masks=PolygonMasks(polygons, height, width),
    )


@pytest.mark.parametrize(
    ('width', 'height', 'scale', 'expected'),
    [
        (640, 427, (1333, 800), (1199, 800)),  # 800 * 640 / 427 = 1199.06
        (500, 333, (1333, 643), (965, 643)),  # 643 * 500 / 333 = 965.47
        (427, 640, (1333, 799), (799, 1197)),  # 799 * 640 / 427 = 1197.56, which rounds to 1198
        (1000, 200, (1333, 800), (1335, 267)),  # the long side would be 4000: short becomes round(266.6) = 267
        (300, 300, (1000, 580), (580, 580)),
    ],
)
def test_the_short_side_is_exact_and_the_other_truncated(width, height, scale, expected):
    found = LegacyResize(scale=scale)(dict(img=np.zeros((height, width, 3), np.uint8)))
    assert found['img'].shape == (*expected[::-1], 3)


def test_an_image_is_resized_by_pil_and_its_objects_by_each_sides_own_factor():
    given = results(427, 640, [(64.0, 42.7, 320.0, 213.5)])
    image = Image.fromarray(given['img'])
    found = LegacyResize(scale=(1333, 800))(given)
    assert np.array_equal(found['img'], np.asarray(image.resize((1199, 800), Image.Resampling.BILINEAR)))
    assert found['img_shape'] == (800, 1199) and found['scale_factor'] == (1199 / 640, 800 / 427)
    assert found['gt_bboxes'].tensor.numpy() == pytest.approx(np.array([[119.9, 80, 599.5, 400]]), abs=1e-3)
    assert found['gt_masks'].masks[0][0][:4] == pytest.approx([119.9, 80, 599.5, 80], abs=1e-3)


def test_boxes_are_clipped_and_those_of_one_pixel_dropped():
    boxes = [(-5.0, 3.0, 20.0, 60.0), (10.0, 10.0, 11.0, 30.0), (39.5, 5.0, 45.0, 9.0), (10.0, 10.0, 11.5, 11.25)]
    found = FilterLegacyBoxes()(results(50, 40, boxes))
    assert found['gt_bboxes'].tensor.tolist() == [[0, 3, 20, 50], [10, 10, 11.5, 11.25]]
    assert found['gt_bboxes_labels'].tolist() == [0, 3] and len(found['gt_masks']) == 2
    assert FilterLegacyBoxes()(results(50, 40, boxes[1:3])) is None


@pytest.mark.parametrize('flip', [False, True])
def test_the_model_sees_the_originals_boxes_and_polygons(flip):
    # in an image of 40 x 50, resized by 2: x, y, w, h = 10, 5, 20, 30
    given = LegacyResize(scale=(100, 80))(results(50, 40, [(10.0, 5.0, 30.0, 35.0)]))
    assert given['img_shape'] == (100, 80) and given['scale_factor'] == (2.0, 2.0)
    found = LegacyRandomFlip(prob=float(flip))(given)
    data_sample = sample(100, 80)
    data_sample.set_metainfo(dict(scale_factor=found['scale_factor']))
    data_sample.gt_instances = InstanceData(bboxes=found['gt_bboxes'].tensor)
    (x1, y1, x2, y2) = CenterMaskV1._with_offset(data_sample).gt_instances.bboxes[0].tolist()
    # the original: x2 = (10 + 20 - 1) * 2 = 58, y2 = (5 + 30 - 1) * 2 = 68; mirrored x' = 80 - 1 - x
    assert (x1, y1, x2, y2) == ((21, 10, 59, 68) if flip else (20, 10, 58, 68))
    polygon = found['gt_masks'].masks[0][0].tolist()
    assert polygon == ([59, 10, 19, 10, 19, 70, 59, 70] if flip else [20, 10, 60, 10, 60, 70, 20, 70])
    assert data_sample.gt_instances.bboxes[0].tolist() != [x1, y1, x2, y2]  # the caller's stays as it was


@pytest.mark.parametrize('lite', [False, True])
def test_the_recipe_has_the_originals_data_and_rates(lite):
    name = 'centermask-v1-lite_v39-ese_fpn_ms-4x_coco' if lite else 'centermask-v1_v39-ese_fpn_ms-3x_coco'
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    resize = next(t for t in cfg.train_dataloader.dataset.pipeline if t.type == 'RandomChoiceResize')
    longest, shorts = (1000, range(580, 601)) if lite else (1333, range(640, 801))
    assert [tuple(scale) for scale in resize.scales] == [(longest, short) for short in shorts]
    assert [t.type for t in cfg.train_dataloader.dataset.pipeline[2:5]] == [
        'FilterLegacyBoxes',
        'RandomChoiceResize',
        'LegacyRandomFlip',
    ]
    (test_resize,) = [t for t in cfg.test_dataloader.dataset.pipeline if 'Resize' in t.type]
    assert test_resize.type == 'LegacyResize' and tuple(test_resize.scale) == ((1000, 600) if lite else (1333, 800))
    found = Compose(cfg.train_dataloader.dataset.pipeline[2:])(
        dict(results(427, 640, [(64.0, 42.7, 320.0, 213.5)]), img_id=0, img_path='', ori_shape=(427, 640))
    )
    height, width = found['data_samples'].img_shape
    assert height in shorts and width == int(height * 640 / 427) and found['inputs'].shape == (3, height, width)

    # a convolution with bias, a group norm, and a layer without bias
    layers = nn.ModuleDict(dict(conv=nn.Conv2d(2, 4, 1), gn=nn.GroupNorm(2, 4), plain=nn.Conv2d(2, 4, 1, bias=False)))
    optim_wrapper = build_optim_wrapper(layers, cfg.optim_wrapper)
    rates = {}
    for group in optim_wrapper.optimizer.param_groups:
        for parameter in group['params']:
            (key,) = [key for key, value in layers.named_parameters() if value is parameter]
            rates[key] = group['lr'], group['weight_decay']
    assert rates == {
        'conv.weight': (0.01, 1e-4),
        'conv.bias': (0.02, 0),
        'gn.weight': (0.01, 1e-4),  # norms decay
        'gn.bias': (0.02, 0),
        'plain.weight': (0.01, 1e-4),
    }
    warm_up, steps = cfg.param_scheduler
    assert (warm_up.type, warm_up.begin, warm_up.end) == ('ConstantLR', 0, 500)
    assert warm_up.factor == pytest.approx(1 / 3)
    assert steps.milestones == ([300000, 340000] if lite else [210000, 250000])
