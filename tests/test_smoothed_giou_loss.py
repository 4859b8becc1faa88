"""The official GIoU, by hand."""

import torch
from mmdet.registry import MODELS

from mmcentermask.models import SmoothedGIoULoss


def test_by_hand():
    pred = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 2.0, 2.0]])
    target = torch.tensor([[2.0, 0.0, 6.0, 4.0], [4.0, 0.0, 6.0, 2.0]])
    # first: I = 8, U = 24, C = 24 -> 1 - 9/25 + 0; second: I = 0, U = 8, C = 12 -> 1 - 1/9 + 4/12
    expected = torch.tensor([1 - 9 / 25, 1 - 1 / 9 + 4 / 12])
    torch.testing.assert_close(SmoothedGIoULoss(reduction='none')(pred, target), expected)
    # weighted by centerness targets over their sum, as the head calls it
    weight = torch.tensor([0.25, 0.75])
    loss = SmoothedGIoULoss(loss_weight=2.0)(pred, target, weight=weight, avg_factor=weight.sum())
    torch.testing.assert_close(loss, 2 * (expected * weight).sum())


def test_equal_boxes_cost_nothing_and_the_unit_matters():
    boxes = torch.tensor([[1.0, 2.0, 5.0, 9.0]])
    assert SmoothedGIoULoss()(boxes, boxes) == 0
    moved = boxes + 1
    # the added 1 weighs less the larger the boxes: in pixels of stride 8 the loss is another than in strides
    assert SmoothedGIoULoss()(boxes * 8, moved * 8) > SmoothedGIoULoss()(boxes, moved)


def test_without_the_smoothing_it_is_mmdets():
    torch.manual_seed(0)
    boxes = torch.rand(20, 4) * 1000
    boxes[:, 2:] += boxes[:, :2] + 500
    other = boxes + torch.randn(20, 4) * 20
    # areas of about 1e6 drown the added 1
    theirs = MODELS.build(dict(type='GIoULoss', reduction='none'))(boxes, other)
    torch.testing.assert_close(SmoothedGIoULoss(reduction='none')(boxes, other), theirs, atol=1e-4, rtol=1e-3)


def test_degenerate_boxes_give_finite_loss_and_gradient():
    pred = torch.zeros(1, 4, requires_grad=True)
    loss = SmoothedGIoULoss()(pred, torch.zeros(1, 4))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(pred.grad).all()
