"""MobileNetV2 without its last convolution."""

import pytest
import torch

from mmcentermask.models import TrimmedMobileNetV2


def test_every_parameter_gets_a_gradient_and_the_count_is_the_official_one():
    net = TrimmedMobileNetV2(out_indices=(2, 4, 6))
    assert sum(p.numel() for p in net.parameters()) == 1_811_712
    net.train()
    outs = net(torch.randn(2, 3, 64, 64))
    assert [tuple(out.shape[1:]) for out in outs] == [(32, 8, 8), (96, 4, 4), (320, 2, 2)]
    sum(out.sum() for out in outs).backward()
    assert all(p.grad is not None for p in net.parameters())


def test_the_missing_layer_is_refused():
    with pytest.raises(ValueError, match='has no layer 7'):
        TrimmedMobileNetV2(out_indices=(2, 7))
