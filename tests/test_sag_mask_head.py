"""Spatial attention, the mask head and its targets."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmcentermask.models import SAGMaskHead, SpatialAttention

TRAIN = ConfigDict(mask_size=28)


def sampled(boxes, inds):
    return SimpleNamespace(
        pos_priors=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), pos_assigned_gt_inds=torch.tensor(inds)
    )


def test_attention_by_hand():
    attention = SpatialAttention()
    with torch.no_grad():
        attention.conv.weight.zero_()
        attention.conv.weight[0, :, 1, 1] = torch.tensor([1.0, 2.0])  # mean + 2 max
    x = torch.tensor([1.0, -3.0]).reshape(1, 2, 1, 1).expand(1, 2, 4, 4)
    expected = torch.sigmoid(torch.tensor(-1.0 + 2 * 1.0))
    torch.testing.assert_close(attention.attention_map(x), expected.expand(1, 1, 4, 4))
    torch.testing.assert_close(attention(x), x * expected)
    assert attention.conv.bias is None


def test_shapes_and_no_rois():
    head = SAGMaskHead(num_convs=2, in_channels=8, conv_out_channels=8, num_classes=5)
    assert head(torch.randn(3, 8, 14, 14)).shape == (3, 5, 28, 28)
    out = head(torch.zeros(0, 8, 14, 14))
    assert out.shape == (0, 5, 28, 28)
    out.sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() == 0 for p in head.parameters())


@pytest.mark.parametrize('form', ['polygon', 'bitmap'])
def test_targets_are_cropped_by_the_unclipped_box(form):
    # the object is the left half of a 56 x 56 image; the box reaches 28 pixels over the image's left edge
    if form == 'polygon':
        masks = PolygonMasks([[np.array([0, 0, 28, 0, 28, 56, 0, 56.0])]], 56, 56)
    else:
        bitmap = np.zeros((1, 56, 56), np.uint8)
        bitmap[:, :, :28] = 1
        masks = BitmapMasks(bitmap, 56, 56)
    head = SAGMaskHead(num_convs=1, in_channels=8, conv_out_channels=8)
    result = sampled([[-28.0, 0.0, 28.0, 56.0]], [0])
    before = result.pos_priors.clone()
    target = head.get_targets([result], [InstanceData(masks=masks)], TRAIN)
    assert target.shape == (1, 28, 28)
    # clipped to the image the crop would be all object
    # (bilinear sampling lets a bitmap's edge reach half a pixel further, into column 13)
    assert target[0, :, :13].sum() == 0 and target[0, :, 14:].min() == 1
    assert torch.equal(result.pos_priors, before)  # the boxes are read, not written


def test_targets_follow_the_assignment_over_several_images_some_without_rois():
    squares = [[np.array([0, 0, 28, 0, 28, 28, 0, 28.0])], [np.array([28, 28, 56, 28, 56, 56, 28, 56.0])]]
    masks = InstanceData(masks=PolygonMasks(squares, 56, 56))
    none = InstanceData(masks=PolygonMasks([], 56, 56))
    head = SAGMaskHead(num_convs=1, in_channels=8, conv_out_channels=8)
    empty = sampled([], np.zeros(0, int).tolist())
    results = [empty, sampled([[0, 0, 56, 56], [0, 0, 56, 56]], [1, 0])]
    target = head.get_targets(results, [none, masks], TRAIN)
    assert target.shape == (2, 28, 28)
    assert target[0, 14:, 14:].min() == 1 and target[0].sum() == 14 * 14
    assert target[1, :14, :14].min() == 1 and target[1].sum() == 14 * 14
    assert head.get_targets([empty], [none], TRAIN).shape == (0, 28, 28)
