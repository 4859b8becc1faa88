"""Channels-last layout changes speed, not answers."""

import copy

import pytest
import torch

from conftest import build, sample, small_config
from mmcentermask.engine import use_channels_last


@pytest.mark.parametrize('extractor', ['AdaptiveRoIExtractor', 'SingleRoIExtractor'])
def test_same_losses_and_gradients_with_every_mmcv_op(extractor):
    """Reading channels-last memory as contiguous, as RoIAlign and DCN on CPU do, would scramble the features."""
    cfg = small_config()
    cfg.backbone.update(arch='V-19-slim', dcn=dict(type='DCNv2', deform_groups=1))
    cfg.roi_head.mask_roi_extractor.type = extractor
    model = build(cfg).train()
    for module in model.modules():
        if hasattr(module, 'conv_offset'):  # offsets that differ from zero
            torch.nn.init.normal_(module.conv_offset.weight, std=0.05)
    other = copy.deepcopy(model)
    use_channels_last(other)
    assert other.neck.lateral_convs[0].conv.weight.is_contiguous(memory_format=torch.channels_last)
    images = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    results = []
    for net in (model, other):
        torch.manual_seed(0)
        losses = net.loss(images, [sample(128, 128, [[10, 12, 90, 110], [40, 30, 60, 50]], [0, 1])])
        sum(losses.values()).backward()
        results.append((losses, {name: p.grad for name, p in net.named_parameters()}))
    for name, loss in results[0][0].items():
        torch.testing.assert_close(results[1][0][name], loss, atol=0, rtol=1e-3)
    for name, grad in results[0][1].items():
        difference = (results[1][1][name] - grad).norm() / grad.norm().clamp(min=1e-6)
        # batch norms over few pixels and mask pixels that flip at 0.5 amplify rounding to some percent; scrambled
        # features would differ by more than 100
        assert difference < 0.3, name
