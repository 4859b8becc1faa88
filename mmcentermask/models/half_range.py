"""Keeps activations inside of the range of half precision."""

import torch
from torch import Tensor, nn

__all__ = ['HalfRangeReLU', 'within_half_range']


def within_half_range(x: Tensor) -> Tensor:
    """Turn the infinities of fp16 into its largest numbers, since infinities of both signs add up to NaN.

    Args:
        x (Tensor): What a layer computed, of any shape.

    Returns:
        Tensor: The same; of other types than fp16 itself.
    """
    if x.dtype != torch.float16:
        return x
    largest = torch.finfo(x.dtype).max
    return x.clamp(-largest, largest)


class HalfRangeReLU(nn.ReLU):
    """ReLU whose output is finite in fp16."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute ``max(x, 0)``, of the same shape."""
        return within_half_range(super().forward(x))
