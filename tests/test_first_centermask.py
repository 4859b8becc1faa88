"""The first CenterMask: boxes count their last pixel between the input and the results."""

import copy
import re

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.structures import InstanceData

from conftest import CONFIGS, build, published, sample
from mmcentermask.models import FirstCenterMaskHead, LastPixelOverlaps2D, LastPixelRoIExtractor

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
    head = FirstCenterMaskHead(num_classes=2, in_channels=32, feat_channels=32, stacked_convs=1, strides=[8])
    assert not head.norm_on_bbox and not head.centerness_on_reg
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


def test_areas_and_overlaps_count_the_last_pixel():
    extractor = LastPixelRoIExtractor(
        roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=2, aligned=False), out_channels=1
    )
    # 50 x 50 of 100 x 100 pixels is exactly a quarter: level 5 - 2
    rois = torch.tensor([[0, 0, 0, 49, 49], [0, 0, 0, 50, 49], [0, 0, 0, 99, 99]], dtype=torch.float32)
    assert extractor.map_roi_levels(rois, 10000.0).tolist() == [0, 1, 2]
    overlaps = LastPixelOverlaps2D()(torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([[0.0, 0, 9, 4], [10, 0, 19, 9]]))
    assert overlaps.tolist() == [[0.5, 0.0]]


def test_results_end_after_the_last_pixel():
    model = MODELS.build(Config.fromfile(CONFIGS / f'{NAME}.py').model).eval()
    feats = [torch.zeros(1, 128, 64 // s, 64 // s) for s in (8, 16, 32, 64, 128) if s <= 64]
    detections = InstanceData(
        bboxes=torch.tensor([[8.0, 8, 23, 15], [0, 0, 63, 63]]), scores=torch.ones(2), labels=torch.tensor([0, 1])
    )
    for scale, rescale, expected in (
        (2.0, False, [[8, 8, 24, 16], [0, 0, 64, 64]]),
        (2.0, True, [[4, 4, 12.5, 8.5], [0, 0, 32, 32]]),  # half of 23 and 15, and one pixel more
    ):
        data_sample = sample(64, 64)
        data_sample.set_metainfo(dict(ori_shape=(32, 32), scale_factor=(scale, scale)))
        with torch.no_grad():
            (result,) = model.roi_head.predict(feats, [copy.deepcopy(detections)], [data_sample], rescale=rescale)
        assert result.bboxes.tolist() == expected
        assert result.masks.shape[1:] == ((32, 32) if rescale else (64, 64))


def test_learns_from_ground_truth_that_counts_its_last_pixel():
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
