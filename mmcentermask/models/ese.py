"""Effective squeeze-and-excitation (CenterMask, section 3.4)."""

import torch.nn.functional as F
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class EffectiveSE(nn.Module):
    """eSE: channel attention with one layer, so that no channel is squeezed away.

    Global average pool, one 1x1 convolution with bias, hard sigmoid ``relu6(x + 3) / 6``, multiply.

    Args:
        channels (int): Channels of the input and the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def channel_weights(self, x: Tensor) -> Tensor:
        """Return the weight of each channel, (N, C, 1, 1), 0..1, of features ``x``, (N, C, H, W)."""
        return F.hardsigmoid(self.fc(x.mean(dim=(2, 3), keepdim=True)))

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels of ``x``, of shape (N, C, H, W); the shape stays."""
        return x * self.channel_weights(x)
