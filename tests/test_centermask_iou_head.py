"""Mask IoU: targets by hand, and the two scores."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData

from mmcentermask.models import CenterMaskIoUHead

HEAD = CenterMaskIoUHead(num_convs=2, in_channels=8, conv_out_channels=8, num_classes=3)
SQUARE = [np.array([0, 0, 40, 0, 40, 40, 0, 40.0])]


def bitmap():
    mask = np.zeros((1, 60, 60), np.uint8)
    mask[0, :40, :40] = 1
    return BitmapMasks(mask, 60, 60)


@pytest.mark.parametrize('masks', [PolygonMasks([SQUARE], 60, 60), bitmap()], ids=['polygon', 'bitmap'])
def test_visible_ratio_by_hand(masks):
    boxes = np.array(
        [[0, 0, 40, 40], [0, 0, 20, 40], [-30, -30, 20, 20], [50, 50, 60, 60], [10, 10, 10.4, 10.4], [0, 0, 60, 60.0]]
    )
    ratios = HEAD.visible_ratios(boxes, np.zeros(6, int), masks)
    np.testing.assert_allclose(ratios, [1, 0.5, 0.25, 1e-10, 1e-10, 1])


def test_parts_are_summed():
    parts = [np.array([0, 0, 10, 0, 10, 10, 0, 10.0]), np.array([20, 0, 30, 0, 30, 10, 20, 10.0])]
    ratios = HEAD.visible_ratios(
        np.array([[0, 0, 10, 10.0], [0, 0, 30, 10]]), np.zeros(2, int), PolygonMasks([parts], 40, 40)
    )
    np.testing.assert_allclose(ratios, [0.5, 1])


def test_target_by_hand():
    head = CenterMaskIoUHead(num_convs=2, in_channels=8, conv_out_channels=8, num_classes=3)
    result = SimpleNamespace(
        pos_priors=torch.tensor([[0.0, 0.0, 20.0, 40.0], [0.0, 0.0, 40.0, 40.0]]),
        pos_assigned_gt_inds=torch.tensor([0, 0]),
    )
    gt = InstanceData(masks=PolygonMasks([SQUARE], 60, 60))
    target = torch.ones(2, 28, 28)  # t = 784
    logits = torch.full((2, 28, 28), -1.0)
    logits[0, :14] = 0.4  # probability 0.6: p = o = 392. A cut of the logit at 0.5 would leave nothing
    out = head.get_targets([result], [gt], logits, target, None)
    # r = 0.5: 392 / (392 + 784 / 0.5 - 392); second: nothing predicted
    torch.testing.assert_close(out, torch.tensor([392 / 1568, 0.0]))


def test_scores_stay_and_mask_scores_are_added():
    head = CenterMaskIoUHead(num_convs=2, in_channels=8, conv_out_channels=8, num_classes=3)
    results = [
        InstanceData(scores=torch.tensor([0.8, 0.5]), labels=torch.tensor([2, 0])),
        InstanceData(scores=torch.zeros(0), labels=torch.zeros(0, dtype=torch.long)),
    ]
    ious = (torch.tensor([[0.1, 0.2, 0.5], [0.4, 0.9, 0.9]]), torch.zeros(0, 3))
    out = head.predict_by_feat(ious, results)
    assert out[0].scores.tolist() == pytest.approx([0.8, 0.5])
    assert out[0].mask_scores.tolist() == pytest.approx([0.4, 0.2])
    assert out[1].mask_scores.shape == (0,)


def test_no_rois_give_zero_loss_and_zero_gradients():
    head = CenterMaskIoUHead(num_convs=2, in_channels=8, conv_out_channels=8, num_classes=3)
    out = head(torch.zeros(0, 8, 14, 14), torch.zeros(0, 28, 28))
    none = SimpleNamespace(pos_priors=torch.zeros(0, 4), pos_assigned_gt_inds=torch.zeros(0, dtype=torch.long))
    gt = InstanceData(masks=PolygonMasks([], 60, 60))
    loss = head.loss_and_target(out.sum(dim=1), torch.zeros(0, 28, 28), torch.zeros(0, 28, 28), [none], [gt], None)
    assert loss['loss_mask_iou'] == 0
    loss['loss_mask_iou'].backward()
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in head.parameters())


def test_the_loss_trains_the_mask_head_too():
    head = CenterMaskIoUHead(num_convs=2, in_channels=8, conv_out_channels=8, num_classes=3)
    masks = torch.randn(1, 28, 28, requires_grad=True)
    head(torch.randn(1, 8, 14, 14), masks).sum().backward()
    assert masks.grad.abs().sum() > 0
