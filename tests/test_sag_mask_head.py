"""Spatial attention, the mask head and its targets."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmcentermask.analysis import count_macs
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


def head_with(**kwargs):
    return SAGMaskHead(num_convs=1, in_channels=8, conv_out_channels=8, num_classes=5, **kwargs)


def test_attention_none_channel_both():
    plain, both = (
        head_with(attention=None),
        head_with(attention=[dict(type='EffectiveSE', channels=8), dict(type='SpatialAttention', kernel_size=7)]),
    )
    x = torch.randn(2, 8, 14, 14)
    both.load_state_dict(plain.state_dict(), strict=False)
    channel, spatial = both.attention
    assert spatial.conv.kernel_size == (7, 7)
    with torch.no_grad():
        feats = plain.convs[0](x)
        expected = plain.conv_logits(plain.upsample(spatial(channel(feats))).relu())
        torch.testing.assert_close(both(x), expected)
        # channel attention at weight 0 and bias 3 is exactly 1; spatial attention at weight 0 is one half
        channel.fc.weight.zero_()
        channel.fc.bias.fill_(3)
        spatial.conv.weight.zero_()
        torch.testing.assert_close(both(x), plain.conv_logits(plain.upsample(feats / 2).relu()))
    assert not [name for name in plain.state_dict() if 'attention' in name]


def test_channel_attention_of_another_width_is_refused():
    with pytest.raises(ValueError, match='features have 8 channels, but attention EffectiveSE is for 16'):
        head_with(attention=dict(type='EffectiveSE', channels=16))


@pytest.mark.parametrize(
    'kwargs',
    [
        {},
        dict(class_agnostic=True),
        dict(predictor_cfg=dict(type='NormedConv2d')),
        dict(upsample_cfg=dict(type=None)),
    ],
    ids=['own map', 'class-agnostic', 'another predictor', 'no upsampling'],
)
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_the_map_of_one_class_is_that_of_all(kwargs, layout):
    torch.manual_seed(0)
    head = head_with(**kwargs).to(memory_format=layout)
    torch.nn.init.normal_(head.conv_logits.bias)
    x, labels = torch.randn(4, 8, 14, 14).contiguous(memory_format=layout), torch.tensor([4, 0, 3, 3])
    every = head(x)
    own = head(x, labels)
    expected = every if head.class_agnostic else every[torch.arange(4), labels][:, None]
    torch.testing.assert_close(own, expected)
    assert head(x[:0], labels[:0]).shape == (0, 1, *every.shape[2:])


def test_gradients_of_one_map_are_those_of_all_and_zero_for_classes_that_are_not_there():
    torch.manual_seed(0)
    head = head_with(loss_dice=dict(type='MaskDiceLoss'))
    result, x = sampled([[0, 0, 28, 28], [4, 4, 28, 28]], [0, 0]), torch.randn(2, 8, 14, 14)
    result.pos_gt_labels = torch.tensor([3, 1])
    gt = InstanceData(masks=PolygonMasks([[np.array([0, 0, 14, 0, 14, 28, 0, 28.0])]], 28, 28))
    found = []
    for preds in (head(x), head(x, result.pos_gt_labels)):
        losses = head.loss_and_target(preds, [result], [gt], TRAIN)['loss_mask']
        grads = torch.autograd.grad(sum(losses.values()), list(head.parameters()))
        found.append((losses, grads))
    for key, value in found[0][0].items():
        torch.testing.assert_close(found[1][0][key], value)
    for every, own in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(own, every)
    weights = dict(zip((name for name, _ in head.named_parameters()), found[1][1]))['conv_logits.weight']
    assert weights.abs().sum(dim=(1, 2, 3)).bool().tolist() == [False, True, False, True, False]
    assert result.pos_gt_labels.tolist() == [3, 1]  # the caller's stay
    nothing = head(x[:0], torch.zeros(0, dtype=torch.long)).sum()
    assert all(grad.abs().max() == 0 for grad in torch.autograd.grad(nothing, list(head.parameters())))


def test_work_and_memory_do_not_grow_with_the_classes():
    found = []
    for classes in (5, 1203):
        head = SAGMaskHead(num_convs=1, in_channels=8, conv_out_channels=8, num_classes=classes)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):  # noqa: B023
            head(torch.randn(2, 8, 14, 14), torch.tensor([1, 4]))
        found.append((sizes, count_macs(lambda: head(torch.randn(2, 8, 14, 14), torch.tensor([1, 4])))))  # noqa: B023
    assert found[0] == found[1] and max(found[0][0]) == 2 * 8 * 28 * 28
