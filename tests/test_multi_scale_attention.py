"""Attention at several scales: how far it sees, and how it fuses."""

import pytest
import torch

from mmcentermask.models import MultiScaleSpatialAttention, SpatialAttention


def reach(attention):
    """How far from the middle of an RoI a change there is seen, in pixels."""
    torch.manual_seed(0)
    for p in attention.parameters():
        torch.nn.init.uniform_(p, 0.1, 0.2)  # positive, so that no ReLU hides anything
    x = torch.ones(1, 4, 15, 15)
    changed = x.clone()
    changed[:, :, 7, 7] = 2.0
    rows = (attention.attention_map(x) != attention.attention_map(changed))[0, 0].nonzero()
    return (rows - 7).abs().max().item()


def test_the_largest_dilation_says_how_far_it_sees():
    assert reach(SpatialAttention(3)) == 1 and reach(SpatialAttention(7)) == 3
    assert reach(MultiScaleSpatialAttention(dilations=(1, 2, 3))) == 3
    assert reach(MultiScaleSpatialAttention(dilations=(1, 5))) == 5


def test_fusion_by_hand():
    attention = MultiScaleSpatialAttention(kernel_size=1, dilations=(1, 2), channels=1)
    with torch.no_grad():
        attention.conv[0].weight.copy_(torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1))  # the mean
        attention.conv[1].weight.copy_(torch.tensor([0.0, -1.0]).reshape(1, 2, 1, 1))  # minus the maximum: ReLU gives 0
        attention.fuse.weight.copy_(torch.tensor([2.0, 100.0]).reshape(1, 2, 1, 1))
        attention.fuse.bias.fill_(-1.0)
    x = torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1).expand(1, 2, 5, 5)
    expected = torch.sigmoid(torch.tensor(2 * 2.0 - 1))
    torch.testing.assert_close(attention(x), x * expected)


@pytest.mark.parametrize('wrong', [(), (0, 1)])
def test_impossible_dilations_are_refused(wrong):
    with pytest.raises(ValueError, match='dilations must be whole numbers of at least 1'):
        MultiScaleSpatialAttention(dilations=wrong)


@pytest.mark.parametrize('kernel_size', [0, 2, 4])
def test_even_kernels_are_refused(kernel_size):
    for kind in (SpatialAttention, MultiScaleSpatialAttention):
        with pytest.raises(ValueError, match='kernel_size must be odd'):
            kind(kernel_size=kernel_size)
