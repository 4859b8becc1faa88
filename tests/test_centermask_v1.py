"""CenterMaskV1: the rules that differ from CenterMask2, by hand; the whole of it is compared in test_equality.py."""

import copy
import re

import numpy as np
import pytest
import torch
from mmdet.models.dense_heads import fcos_head
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks, PolygonMasks, encode_mask_results
from mmengine.config import Config
from mmengine.structures import InstanceData

from conftest import CONFIGS, build, published, sample
from mmcentermask.models import (
    CenterMaskHead,
    CenterMaskV1Head,
    CenterMaskV1IoUHead,
    LegacyAdaptiveRoIExtractor,
    LegacyBboxOverlaps2D,
    centermask_v1,
)
from mmcentermask.structures import paste_legacy

NAME = 'centermask-v1-lite_v19-ese_fpn_ms-4x_coco'


@pytest.mark.parametrize('lite', [False, True])
def test_settings_and_that_every_config_has_them(lite):
    base = f'centermask-v1{"-lite" * lite}_fpn.py'
    variants = [CONFIGS / f'{name}.py' for name in published() if re.match(f'centermask-v1{"-lite" * lite}_', name)]
    assert len(variants) == (4 if lite else 12)
    assert all(f'/{base}' in path.read_text() for path in variants)
    unscored = {path.stem for path in variants if 'mask_iou_head=None' in path.read_text()}
    assert unscored == (
        {'centermask-v1-lite_mv2_fpn_ms-4x_coco'}
        if lite
        else {'centermask-v1_mv2_fpn_ms-3x_coco', 'centermask-v1_v19-ese_fpn_ms-3x_coco'}
    )
    cfg = Config.fromfile(CONFIGS.parent / '_base_' / 'models' / base).model
    assert cfg.data_preprocessor.mean == [102.9801, 115.9465, 122.7717]
    assert cfg.data_preprocessor.std == [1.0, 1.0, 1.0]
    assert cfg.test_cfg.score_thr == 0.03 and cfg.test_cfg.nms.offset == 1
    roi_layer = cfg.roi_head.mask_roi_extractor.roi_layer
    assert roi_layer.sampling_ratio == 2 and roi_layer.aligned is False
    assert cfg.bbox_head.feat_channels == (128 if lite else 256)


def test_head_predicts_exp_distances_clipped_boxes_and_scores_without_a_root():
    head = CenterMaskV1Head(num_classes=2, in_channels=32, feat_channels=32, stacked_convs=1, strides=[8])
    assert not head.norm_on_bbox and head.centerness_on_reg
    logits = torch.full((1, 2, 4, 4), -20.0)
    logits[0, 1, 1, 2] = 0.0  # the point (20, 12)
    distances = torch.tensor([30.0, 5.0, 6.0, 40.0]).reshape(1, 4, 1, 1).expand(1, 4, 4, 4)
    meta = dict(img_shape=(24, 32), scale_factor=(1.0, 1.0))
    cfg = Config(dict(score_thr=0.03, nms_pre=1000, nms=dict(type='nms', iou_threshold=0.6, offset=1), max_per_img=50))
    (result,) = head.predict_by_feat(
        [logits], [distances], [torch.zeros(1, 1, 4, 4)], batch_img_metas=[meta], cfg=cfg, rescale=False
    )
    # clipped to the last pixels, 31 and 23
    assert result.bboxes.tolist() == [[0, 7, 26, 23]] and result.labels.tolist() == [1]
    assert result.scores.item() == pytest.approx(0.5 * 0.5)
    with torch.no_grad():
        head.conv_reg.weight.zero_()
        head.conv_reg.bias.fill_(1.0)
        assert torch.allclose(head([torch.zeros(1, 32, 2, 2)])[1][0], torch.tensor(np.e, dtype=torch.float32))


def test_areas_and_overlaps_count_the_legacy_offset():
    extractor = LegacyAdaptiveRoIExtractor(
        roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=2, aligned=False), out_channels=1
    )
    # 50 x 50 of 100 x 100 pixels is exactly a quarter: level 5 - 2
    rois = torch.tensor([[0, 0, 0, 49, 49], [0, 0, 0, 50, 49], [0, 0, 0, 99, 99]], dtype=torch.float32)
    assert extractor.map_roi_levels(rois, 10000.0).tolist() == [0, 1, 2]
    overlaps = LegacyBboxOverlaps2D()(torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([[0.0, 0, 9, 4], [10, 0, 19, 9]]))
    assert overlaps.tolist() == [[0.5, 0.0]]


def test_final_boxes_end_one_pixel_of_the_result_later():
    model = MODELS.build(Config.fromfile(CONFIGS / f'{NAME}.py').model).eval()
    feats = [torch.zeros(1, 128, 64 // s, 64 // s) for s in (8, 16, 32, 64, 128) if s <= 64]
    detections = InstanceData(
        bboxes=torch.tensor([[8.0, 8, 23, 15], [0, 0, 63, 63]]), scores=torch.ones(2), labels=torch.tensor([0, 1])
    )
    for scale, rescale, expected in (
        (2.0, False, [[8, 8, 24, 16], [0, 0, 64, 64]]),
        (2.0, True, [[4, 4, 12.5, 8.5], [0, 0, 32.5, 32.5]]),  # half of 23, 15 and 63, and one pixel more; not clipped
    ):
        data_sample = sample(64, 64)
        data_sample.set_metainfo(dict(ori_shape=(32, 32), scale_factor=(scale, scale)))
        with torch.no_grad():
            (result,) = model.roi_head.predict(feats, [copy.deepcopy(detections)], [data_sample], rescale=rescale)
        assert result.bboxes.tolist() == expected
        assert result.masks.shape[1:] == ((32, 32) if rescale else (64, 64))


def test_a_location_belongs_to_the_smallest_box_with_legacy_offset():
    head = CenterMaskV1Head(
        num_classes=3, in_channels=32, feat_channels=32, strides=[8], regress_ranges=((0, 1e8),), center_sampling=False
    )
    # 20 x 4 is 80 and with the offset 21 x 5 = 105; 9.5 x 9.5 is 90.25 and with it 110.25; 2 x 36 is 72, and 111
    boxes = torch.tensor([[2.0, 10, 22, 14], [7, 7, 16.5, 16.5], [11, 0, 13, 36]])
    labels = torch.tensor([0, 1, 2])
    points = torch.tensor([[12.0, 12.0], [8.0, 8.0], [12.0, 30.0], [30.0, 30.0]])
    gts = InstanceData(bboxes=boxes, labels=labels)
    found, targets = head.get_targets([points], [gts])
    assert found[0].tolist() == [0, 1, 2, 3]  # by plain areas box 2 would have the first point
    assert targets[0][0].tolist() == [10, 2, 10, 2] and targets[0][1].tolist() == [1, 1, 8.5, 8.5]
    none, _ = head.get_targets([points], [gts[:0]])
    assert none[0].tolist() == [3] * 4


def test_the_class_loss_is_divided_by_positives_and_images():
    torch.manual_seed(0)
    options = dict(num_classes=2, in_channels=32, feat_channels=32, strides=[8], regress_ranges=((0, 1e8),))
    v1 = CenterMaskV1Head(**options)
    plain = CenterMaskHead(**options, norm_on_bbox=False)
    feats = [torch.randn(3, 2, 4, 4)], [torch.rand(3, 4, 4, 4) * 20 + 1], [torch.randn(3, 1, 4, 4)]
    gts = [InstanceData(bboxes=torch.tensor([[2.0, 2, 29, 29]]), labels=torch.tensor([1]))]
    gts += [InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))] * 2
    positives = (v1.get_targets(v1.prior_generator.grid_priors([(4, 4)], device='cpu'), gts)[0][0] < 2).sum().item()
    losses, others = v1.loss_by_feat(*feats, gts, None), plain.loss_by_feat(*feats, gts, None)
    ratio = positives / (positives + 3)
    assert losses['loss_cls'].item() == pytest.approx(others['loss_cls'].item() * ratio, rel=1e-5)
    for name in ('loss_bbox', 'loss_centerness'):
        assert losses[name].item() == pytest.approx(others[name].item(), rel=1e-5)
    empty = v1.loss_by_feat(*feats, [gts[1]] * 3, None)
    background = plain.loss_by_feat(*feats, [gts[1]] * 3, None)
    # no positive: CenterMask2 divides by 1, CenterMaskV1 by the images
    assert empty['loss_cls'].item() == pytest.approx(background['loss_cls'].item() / 3, rel=1e-5)
    assert empty['loss_bbox'].isfinite() and empty['loss_centerness'].isfinite()


def test_each_process_divides_by_its_own_counts(monkeypatch):
    """Two processes, of which the other has three times the positives and the centerness."""
    torch.manual_seed(0)
    v1 = CenterMaskV1Head(num_classes=2, in_channels=32, feat_channels=32, strides=[8], regress_ranges=((0, 1e8),))
    feats = [torch.randn(1, 2, 4, 4)], [torch.rand(1, 4, 4, 4) * 20 + 1], [torch.randn(1, 1, 4, 4)]
    gts = [InstanceData(bboxes=torch.tensor([[2.0, 2, 29, 29]]), labels=torch.tensor([1]))]
    alone = v1.loss_by_feat(*feats, gts, None)
    for module in (fcos_head, centermask_v1):
        monkeypatch.setattr(module, 'reduce_mean', lambda tensor: tensor * 2)
    together = v1.loss_by_feat(*feats, gts, None)
    for name, loss in alone.items():
        assert together[name].item() == pytest.approx(loss.item(), rel=1e-5), name


def test_the_visible_share_counts_pixels_of_the_first_polygon():
    head = CenterMaskV1IoUHead(num_convs=2, in_channels=8, conv_out_channels=8, num_classes=3)
    square = np.array([10, 10, 30, 10, 30, 30, 10, 30], np.float32)  # 20 x 20 = 400 pixels
    other = np.array([40, 10, 50, 10, 50, 20, 40, 20], np.float32)
    masks = PolygonMasks([[square, other]], 60, 60)
    boxes = np.array([[10, 10, 30, 30], [20, 10, 30, 30], [0, 0, 5, 5], [5.5, 5.5, 35, 35]], np.float32)
    ratios = head.visible_ratios(boxes, np.zeros(4, int), masks)
    # the whole; its right half; nothing; a canvas of int(29.5) pixels that still holds the square
    assert ratios == pytest.approx([1, 0.5, 1e-10, 1], rel=1e-6)
    # at the border the whole is cut at the last pixel: 9 x 20 of the 10 x 20 in the image count, the RoI holds 10 x 20
    edge = PolygonMasks([[square]], 60, 20)
    half = np.array([[10, 10, 20, 30]], np.float32)
    assert head.visible_ratios(half, np.zeros(1, int), edge) == pytest.approx(200 / 180)
    bitmap = np.zeros((1, 60, 60), np.uint8)
    bitmap[0, 10:30, 10:30] = 1
    assert head.visible_ratios(boxes[:2], np.zeros(2, int), BitmapMasks(bitmap, 60, 60)) == pytest.approx([1, 0.5])


def test_pasting_as_the_original_by_hand():
    maps = torch.ones(1, 28, 28)
    # 28 wide: enlarged by a pixel on each side, -1..29 and 5..35 wide 31; the ring of zeros fades over one pixel
    (mask,) = paste_legacy(maps, torch.tensor([[10.0, 6.0, 38.0, 34.0]]), 60, 60)
    # 31 pixels show 30 cells: pixel i has its center at (i + 0.5) * 30 / 31 - 0.5, above 0.5 of the way to the ring
    inside = [i for i in range(31) if 0.5 < (i + 0.5) * 30 / 31 - 0.5 < 28.5]
    assert np.flatnonzero(mask.any(dim=0)).tolist() == [9 + i for i in inside]
    assert np.flatnonzero(mask.any(dim=1)).tolist() == [5 + i for i in inside]
    assert mask.sum() == len(inside) ** 2
    # truncated toward zero: the corner -0.9 becomes 0, not -1, and 30 pixels show 30 cells
    assert paste_legacy(maps, torch.tensor([[0.1, 0.1, 28.1, 28.1]]), 60, 60)[0].any(dim=1).sum() == 28
    # exactly the threshold is outside
    assert not paste_legacy(torch.full((1, 28, 28), 0.5), torch.tensor([[10.0, 6.0, 38.0, 34.0]]), 60, 60).any()


def test_legacy_pasting_gives_the_same_masks_in_either_form():
    torch.manual_seed(0)
    maps = torch.rand(6, 28, 28)
    boxes = [[-9.0, 3, 20, 70], [5, 5, 5, 5], [70, 70, 90, 90], [30, 2, 79, 59], [0, 0, 79, 59], [3, 50, 9, 99]]
    boxes = torch.tensor(boxes)
    dense, codes = (paste_legacy(maps, boxes, 60, 80, 0.5, form) for form in ('dense', 'rle'))
    assert dense.shape == (6, 60, 80) and dense.any(dim=(1, 2)).sum() >= 4
    assert encode_mask_results(dense.numpy()) == codes
    assert paste_legacy(maps[:0], boxes[:0], 60, 80).shape == (0, 60, 80)
    assert paste_legacy(maps[:0], boxes[:0], 60, 80, 0.5, 'rle') == []


def test_learns_from_ground_truth_with_legacy_offset():
    cfg = Config.fromfile(CONFIGS / f'{NAME}.py').model
    cfg.backbone.arch, cfg.neck.in_channels = 'V-19-slim', [256, 384, 512]
    cfg.backbone.norm_cfg.requires_grad, cfg.backbone.norm_eval = True, False
    model = build(cfg).train()
    seen = []
    get_targets = model.bbox_head.get_targets
    model.bbox_head.get_targets = lambda points, gts: (seen.append(gts), get_targets(points, gts))[1]
    data_sample = sample(64, 64, [(8, 8, 24, 40)], [3])
    losses = model.loss(torch.randn(2, 3, 64, 64), [data_sample, sample(64, 64)])
    assert seen[0][0].bboxes.tolist() == [[8, 8, 23, 39]]
    assert data_sample.gt_instances.bboxes.tolist() == [[8, 8, 24, 40]]  # the caller's stays as it was
    total = sum(sum(value) if isinstance(value, list) else value for value in losses.values())
    total.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
