"""Spatial attention that looks at an RoI at several scales, meant for small objects. Not in the paper."""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from torch import Tensor, nn

from ..errors import ConfigError
from .sag_mask_head import SpatialAttention


@MODELS.register_module()
class MultiScaleSpatialAttention(SpatialAttention):
    """SpatialAttention with a convolution a dilation, fused into one attention map.

    ``sigmoid(fuse(relu(conv_1), relu(conv_2), ...))`` of the mean and the maximum over channels: each
    convolution sees a larger part of the RoI, and a 1x1 convolution fuses what they saw.

    Args:
        kernel_size (int): Of every convolution. Odd. Defaults to 3.
        dilations (Sequence[int]): One convolution each. Defaults to (1, 2, 3).
        channels (int): Output channels of each convolution. Defaults to 4.

    Raises:
        ConfigError: If ``kernel_size`` is even, or ``dilations`` has none, or one below 1.
    """

    def __init__(self, kernel_size: int = 3, dilations: Sequence[int] = (1, 2, 3), channels: int = 4) -> None:
        super().__init__(kernel_size)
        if not dilations or min(dilations) < 1:
            raise ConfigError(
                f'MultiScaleSpatialAttention: dilations must be whole numbers of at least 1, not {dilations}.'
            )
        self.conv = nn.ModuleList(
            nn.Conv2d(2, channels, kernel_size, padding=kernel_size // 2 * dilation, dilation=dilation, bias=False)
            for dilation in dilations
        )
        self.fuse = nn.Conv2d(len(dilations) * channels, 1, 1)

    def attention_map(self, x: Tensor) -> Tensor:
        """Return the attention map, (n, 1, h, w), 0..1, of features ``x``, (n, C, h, w)."""
        pooled = self.pool(x)
        return self.fuse(torch.cat([conv(pooled).relu() for conv in self.conv], dim=1)).sigmoid()
