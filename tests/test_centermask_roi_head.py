"""The mask branch: which RoIs it trains on, what it clips, and emptiness."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.structures import InstanceData

from conftest import sample, small_config
from mmcentermask.models import AdaptiveRoIExtractor

FEATS = [torch.randn(2, 128, 128 // s, 128 // s) for s in (8, 16, 32, 64, 128)]

MASK_HEAD = dict(num_convs=2, in_channels=128, conv_out_channels=128, num_classes=3)


def build_roi_head(**changes):
    cfg = small_config()
    roi_head = cfg.roi_head
    roi_head.mask_head.num_classes = roi_head.mask_iou_head.num_classes = 3
    roi_head.update(train_cfg=cfg.train_cfg.rcnn, test_cfg=cfg.test_cfg.rcnn, **changes)
    torch.manual_seed(0)
    return MODELS.build(roi_head)


@pytest.fixture
def head():
    return build_roi_head()


def detections(boxes, labels, scores=None):
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
        scores=torch.ones(len(labels)) if scores is None else torch.tensor(scores),
    )


def sampled_counts(head, proposals, samples, monkeypatch):
    seen = []
    monkeypatch.setattr(head, 'mask_loss', lambda x, sampling_results, *args: seen.extend(sampling_results) or {})
    head.loss(FEATS, proposals, samples)
    return seen


def test_positives_are_proposals_and_ground_truth_capped_at_128_without_negatives(head, monkeypatch):
    box = [20.0, 20.0, 80.0, 80.0]
    samples = [sample(128, 128, [box], [1]), sample(128, 128, [box], [2])]
    proposals = [
        InstanceData(bboxes=torch.tensor([box] * 300)),
        # IoU exactly 0.5 counts, a bit below does not
        InstanceData(bboxes=torch.tensor([[20.0, 20.0, 80.0, 50.0], [20.0, 20.0, 80.0, 49.9]])),
    ]
    many, few = sampled_counts(head, proposals, samples, monkeypatch)
    assert len(many.pos_priors) == 128 and len(many.neg_priors) == 0
    assert len(few.pos_priors) == 2 and len(few.neg_priors) == 0  # the proposal and the ground-truth box
    assert few.pos_is_gt.tolist() == [1, 0] and few.pos_gt_labels.tolist() == [2, 2]
    assert len(proposals[0].bboxes) == 300  # the caller's proposals stay as they are


def test_losses_and_emptiness(head):
    samples = [sample(128, 128, [[20, 20, 80, 80]], [1]), sample(128, 128)]
    proposals = [InstanceData(bboxes=torch.zeros(0, 4))] * 2
    losses = head.loss(FEATS, proposals, samples)
    assert set(losses) == {'loss_mask', 'loss_mask_iou'} and losses['loss_mask'] > 0
    losses = head.loss(FEATS, proposals, [sample(128, 128), sample(128, 128)])
    assert losses['loss_mask'] == 0 and losses['loss_mask_iou'] == 0
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in head.parameters())


@pytest.mark.parametrize('box', [[5, 5, 5, 5], [5, 5, 5.5, 6], [-50, -50, -10, -10], [120, 120, 300, 300]])
def test_ground_truth_without_size_or_outside_of_the_image(head, box):
    losses = head.loss(FEATS, [InstanceData(bboxes=torch.zeros(0, 4))], [sample(128, 128, [box], [0])])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_prediction_clips_boxes_drops_the_invisible_and_keeps_both_scores(head):
    results = [
        detections([[-20, 30, 60, 90], [200, 10, 260, 40], [10, 10, 50, 140]], [0, 1, 2], [0.9, 0.8, 0.7]),
        detections([], []),
    ]
    samples = [sample(100, 128, padded=(128, 128)), sample(128, 96, padded=(128, 128))]
    out = head.predict(FEATS, results, samples)
    assert out[0].bboxes.tolist() == [[0, 30, 60, 90], [10, 10, 50, 100]]
    assert out[0].scores.tolist() == pytest.approx([0.9, 0.7])
    assert out[0].masks.shape == (2, 100, 128) and out[0].masks.dtype == torch.bool
    assert out[0].mask_scores.shape == (2,)
    inside = torch.zeros(100, 128, dtype=torch.bool)
    inside[30:90, 0:60] = True
    assert not (out[0].masks[0] & ~inside).any()
    assert out[1].masks.shape == (0, 128, 96) and out[1].mask_scores.shape == (0,) and out[1].bboxes.shape == (0, 4)


def test_no_detection_in_any_image(head):
    out = head.predict(FEATS, [detections([], []), detections([], [])], [sample(128, 128), sample(64, 64)])
    assert [tuple(o.masks.shape) for o in out] == [(0, 128, 128), (0, 64, 64)]


def test_features_come_from_the_unclipped_box(head):
    """The same box, seen from an image that contains it whole and from one that cuts it, gives the same mask."""
    boxes, labels = [[-30, 20, 70, 90]], [0]
    feats = [f[:1] for f in FEATS]
    raw = head.forward(feats, [detections(boxes, labels)], [sample(128, 128)])[0]
    clipped = head.forward(feats, [detections([[0, 20, 70, 90]], labels)], [sample(128, 128)])[0]
    assert not torch.allclose(raw, clipped)


def test_without_mask_iou_head_there_are_no_mask_scores():
    head = build_roi_head(mask_iou_head=None)
    out = head.predict(FEATS, [detections([[10, 10, 60, 60]], [1])], [sample(128, 128)])[0]
    assert 'mask_scores' not in out and len(out.masks) == 1
    losses = head.loss(FEATS, [InstanceData(bboxes=torch.zeros(0, 4))], [sample(128, 128, [[10, 10, 60, 60]], [1])])
    assert set(losses) == {'loss_mask'}


def test_image_sizes_reach_eq_2_and_other_extractors_work(head, monkeypatch):
    seen = []
    forward = AdaptiveRoIExtractor.forward
    monkeypatch.setattr(
        AdaptiveRoIExtractor,
        'forward',
        lambda self, *args, img_shapes=None, **kwargs: seen.append(img_shapes) or forward(self, *args, **kwargs),
    )
    head.predict(FEATS, [detections([[1, 1, 50, 50]], [0])] * 2, [sample(100, 90), sample(80, 70)])
    assert seen == [[(100, 90), (80, 70)]]
    eq1 = dict(type='SingleRoIExtractor', roi_layer=dict(type='RoIAlign', output_size=14), out_channels=128)
    other = build_roi_head(mask_roi_extractor=dict(eq1, featmap_strides=[8, 16, 32]))
    assert len(other.predict(FEATS, [detections([[1, 1, 50, 50]], [0])], [sample(100, 90)])[0].masks) == 1


def test_the_map_of_the_own_class_is_predicted_alone(head):
    boxes, labels = [[10, 10, 60, 60], [50, 20, 120, 100], [-9, 3, 40, 50]], [2, 0, 1]
    samples, found = [sample(128, 128), sample(128, 96)], [detections(boxes, labels), detections([], [])]
    with torch.no_grad():
        maps, ious = head.predict_maps(FEATS, found, samples)
        every = head.forward(FEATS, found, samples)[0]
    assert [tuple(m.shape) for m in maps] == [(3, 1, 28, 28), (0, 1, 28, 28)]
    assert [tuple(iou.shape) for iou in ious] == [(3, 3), (0, 3)]
    torch.testing.assert_close(maps[0], every[torch.arange(3), torch.tensor(labels)][:, None])


def test_a_mask_head_that_cannot_predict_one_class_alone_is_refused():
    with pytest.raises(ValueError, match='not FCNMaskHead: SAGMaskHead with attention=None is FCNMaskHead'):
        build_roi_head(mask_head=dict(type='FCNMaskHead', **MASK_HEAD))
