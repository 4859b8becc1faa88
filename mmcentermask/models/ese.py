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
        inplace (bool): Write the result over the input, which cannot be trained. Defaults to False.
    """

    def __init__(self, channels: int, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh the channels of ``x``, of shape (N, C, H, W); the shape stays."""
        weights = F.hardsigmoid(self.fc(x.mean(dim=(2, 3), keepdim=True)))
        return x.mul_(weights) if self.inplace else x * weights
