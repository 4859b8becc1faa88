"""CenterMaskHead: the order of threshold, centerness, best 1000 and square root; proposals; NMS."""

import pytest
import torch
from mmcv.ops import batched_nms
from mmengine.config import ConfigDict
from tolerances import BOXES, SCORES

from conftest import sample
from mmcentermask.models import CenterMaskHead
from mmcentermask.models.centermask_head import shift_for_nms

CFG = ConfigDict(score_thr=0.05, nms_pre=1000, nms=dict(type='nms', iou_threshold=0.6), max_per_img=50)
STRIDES = [8, 16, 32, 64, 128]


def logit(p):
    return float(torch.logit(torch.tensor(p, dtype=torch.float64)))


@pytest.fixture
def head():
    torch.manual_seed(0)
    head = CenterMaskHead(3, 32, feat_channels=32, stacked_convs=1, strides=STRIDES, test_cfg=CFG)
    head.init_weights()
    return head


def outputs(size=256, classes=3):
    """Outputs of an image without detections, one level each."""
    shapes = [(size // s, size // s) for s in STRIDES]
    cls = [torch.full((1, classes, *shape), -20.0) for shape in shapes]
    reg = [torch.zeros(1, 4, *shape) for shape in shapes]
    ctr = [torch.full((1, 1, *shape), -20.0) for shape in shapes]
    return cls, reg, ctr


def put(outs, level, row, column, label, prob, centerness, distances):
    cls, reg, ctr = outs
    cls[level][0, label, row, column] = logit(prob)
    ctr[level][0, 0, row, column] = logit(centerness)
    reg[level][0, :, row, column] = torch.tensor(distances)


def predict(head, outs, cfg=CFG, size=256, **kwargs):
    metas = [dict(img_shape=(size, size), scale_factor=(2.0, 2.0))]
    return head.predict_by_feat(*outs, batch_img_metas=metas, cfg=ConfigDict(cfg), **kwargs)[0]


def test_score_and_box_by_hand(head):
    outs = outputs()
    put(outs, 1, 2, 3, 2, 0.81, 0.25, [1.0, 2.0, 3.0, 0.5])
    result = predict(head, outs)
    # point ((3 + .5) * 16, (2 + .5) * 16) = (56, 40); distances in strides of 16
    torch.testing.assert_close(result.bboxes, torch.tensor([[40.0, 8.0, 104.0, 48.0]]))
    torch.testing.assert_close(result.scores, torch.tensor([0.45]))  # sqrt(0.81 * 0.25)
    assert result.labels.tolist() == [2]
    torch.testing.assert_close(predict(head, outs, rescale=True).bboxes, torch.tensor([[20.0, 4.0, 52.0, 24.0]]))


def test_threshold_looks_at_the_class_alone(head):
    outs = outputs()
    put(outs, 0, 0, 0, 0, 0.051, 0.001, [1.0] * 4)  # kept, however low its score
    put(outs, 0, 9, 9, 1, 0.049, 0.999, [1.0] * 4)  # dropped, although its product is higher
    result = predict(head, outs)
    assert result.labels.tolist() == [0]
    torch.testing.assert_close(result.scores, torch.tensor([(0.051 * 0.001) ** 0.5]))


@pytest.mark.parametrize('threshold', [0, 0.0, 1e-6, 0.05, 0.5, 0.9999, 1.0, 1.5])
def test_pairs_kept_are_those_whose_probability_is_above_the_threshold(head, threshold):
    torch.manual_seed(0)
    outs = outputs(size=128)
    near = logit(min(max(threshold, 1e-6), 1 - 1e-6))
    for cls in outs[0]:
        cls.copy_(torch.cat([torch.randn(cls.numel() - 1), torch.tensor([1e-7])]).mul(0.2).add(near).view_as(cls))
    cfg = dict(score_thr=threshold, nms_pre=-1, nms=dict(type='nms', iou_threshold=1.0), max_per_img=-1)
    result = predict(head, outs, cfg=cfg, size=128, with_nms=False)
    probs = torch.cat([cls.permute(0, 2, 3, 1).flatten(0, 2).sigmoid() for cls in outs[0]])
    kept = probs > threshold
    assert len(result) == kept.sum() and torch.equal(result.labels, kept.nonzero()[:, 1])
    torch.testing.assert_close(result.scores, (probs[kept] * torch.tensor(-20.0).sigmoid()).sqrt(), rtol=1e-6, atol=0)


def test_centerness_comes_before_the_best_nms_pre(head):
    outs = outputs()
    put(outs, 0, 0, 0, 0, 0.9, 0.1, [1.0] * 4)  # best class probability
    put(outs, 0, 9, 9, 1, 0.5, 0.9, [1.0] * 4)  # best product
    result = predict(head, outs, cfg=dict(CFG, nms_pre=1))
    assert result.labels.tolist() == [1]
    # one a level: the same point pattern on another level survives too
    put(outs, 1, 0, 0, 2, 0.3, 0.5, [1.0] * 4)
    assert predict(head, outs, cfg=dict(CFG, nms_pre=1)).labels.tolist() == [1, 2]


def test_one_location_may_hold_several_classes_and_nms_is_class_wise(head):
    outs = outputs()
    put(outs, 0, 4, 4, 0, 0.8, 0.5, [2.0] * 4)
    put(outs, 0, 4, 4, 1, 0.6, 0.5, [2.0] * 4)
    put(outs, 0, 4, 5, 0, 0.7, 0.5, [3.0, 2.0, 1.0, 2.0])  # the same box from the next location
    result = predict(head, outs)
    assert result.labels.tolist() == [0, 1]
    torch.testing.assert_close(result.scores, torch.tensor([0.4, 0.3]).sqrt())


def test_boxes_are_not_clipped_and_leave_other_classes_alone(head):
    outs = outputs()
    # class 0 reaches the far corner, class 1 leaves the image at the near one. Shifted class by class by the largest
    # coordinate + 1, without care for negative coordinates, the second would land on the first: IoU above 0.6
    put(outs, 4, 1, 1, 0, 0.9, 0.5, [0.5] * 4)  # 128..256
    put(outs, 4, 0, 0, 1, 0.8, 0.5, [1.5, 1.5, -0.5, -0.5])  # -128..0
    result = predict(head, outs)
    assert result.labels.tolist() == [0, 1]
    torch.testing.assert_close(result.bboxes[1], torch.tensor([-128.0, -128.0, 0.0, 0.0]))


def test_max_per_img_and_nothing(head):
    outs = outputs()
    for column in range(8):
        put(outs, 0, 4 * (column % 4), 4 * column, 0, 0.5 + 0.05 * column, 0.5, [1.0] * 4)
    assert len(predict(head, outs)) == 8
    assert len(predict(head, outs, cfg=dict(CFG, max_per_img=3))) == 3
    empty = predict(head, outputs())
    assert empty.bboxes.shape == (0, 4) and empty.scores.shape == (0,) and empty.labels.shape == (0,)


@pytest.mark.parametrize('norm_on_bbox', [True, False])
def test_proposals_in_training_equal_boxes_in_evaluation(norm_on_bbox):
    torch.manual_seed(0)
    head = CenterMaskHead(
        3, 32, feat_channels=64, stacked_convs=1, strides=STRIDES, test_cfg=CFG, norm_on_bbox=norm_on_bbox
    )
    torch.nn.init.constant_(head.conv_reg.bias, 1.0)  # distances above zero
    torch.nn.init.constant_(head.conv_cls.bias, -2.0)
    feats = [torch.randn(1, 32, 128 // s, 128 // s) for s in STRIDES]
    samples = [sample(128, 128, [[10, 10, 60, 70]], [1])]
    with torch.no_grad():
        _, trained = head.train().loss_and_predict(feats, samples, proposal_cfg=CFG)
        evaluated = head.eval().predict(feats, samples)
    assert len(trained[0].bboxes) > 5
    torch.testing.assert_close(trained[0].bboxes, evaluated[0].bboxes, rtol=0, atol=BOXES)
    torch.testing.assert_close(trained[0].scores, evaluated[0].scores, rtol=0, atol=SCORES)


def test_no_ground_truth_trains_the_classes_only(head):
    feats = [torch.randn(2, 32, 128 // s, 128 // s) for s in STRIDES]
    losses = head.loss(feats, [sample(128, 128), sample(128, 128)])
    assert set(losses) == {'loss_cls', 'loss_bbox', 'loss_centerness'}
    assert losses['loss_bbox'] == 0 and losses['loss_centerness'] == 0 and losses['loss_cls'] > 0
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in head.parameters())


def test_targets_are_in_strides_and_ties_go_to_the_smallest_box(head):
    # the point (28, 28) of stride 8 lies in the centre region of both boxes, (20, 20) in that of the larger one only
    samples = [sample(128, 128, [[0, 0, 56, 56], [20, 20, 44, 44]], [0, 1])]
    points = head.prior_generator.grid_priors([(128 // s, 128 // s) for s in STRIDES], device='cpu')
    labels, targets = head.get_targets(points, [samples[0].gt_instances])
    index = 3 * 16 + 3
    assert labels[0][index] == 1
    assert targets[0][index].tolist() == [1.0, 1.0, 2.0, 2.0]  # 8 and 16 pixels in strides
    assert labels[0][2 * 16 + 2] == 0


def test_cross_entropy_on_classes_by_hand():
    # pairs of probability and target: (.9, 1) (.2, 0) | (.8, 1) (.3, 0), both terms, over 4 entries: 0.2271 each
    head = CenterMaskHead(2, 32, feat_channels=32, loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True))
    logits = torch.tensor([[0.9, 0.2], [0.8, 0.3]]).logit()
    loss = head.loss_cls(logits, torch.tensor([0, 0]), avg_factor=4.0)
    assert loss.item() == pytest.approx(0.2271, abs=5e-5)
    background = head.loss_cls(logits[:1], torch.tensor([2]), avg_factor=2.0)
    assert background.item() == pytest.approx((2.302585 + 0.223144) / 2, abs=1e-5)


@pytest.mark.parametrize('loss', [dict(type='GIoULoss'), dict(type='CrossEntropyLoss', use_sigmoid=False)])
def test_a_class_loss_without_sigmoids_is_refused(loss):
    with pytest.raises(ValueError, match='classes are scored by sigmoids'):
        CenterMaskHead(3, 32, feat_channels=32, strides=STRIDES, loss_cls=loss)


@pytest.mark.parametrize('value', [float('inf'), float('-inf'), float('nan')])
def test_one_non_finite_box_does_not_switch_nms_off(value):
    boxes = torch.tensor([[10.0, 10, 50, 50], [11, 10, 50, 50], [-30, 10, 50, 50], [10, 10, 50, value]])
    shifted = shift_for_nms(boxes, (100, 80))
    assert shifted.isfinite().all() and shifted.min() >= 0
    _, keep = batched_nms(shifted, torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.zeros(4).long(), dict(iou_threshold=0.6))
    assert 1 not in keep and {0, 2} <= set(keep.tolist())
    # overlaps stay, and classes are kept apart
    assert torch.equal(shift_for_nms(boxes[:3], (100, 80)), boxes[:3] + 30)
    assert len(shift_for_nms(boxes[:0], (100, 80))) == 0
