"""fp16 clamping: activations stay finite in half precision."""

import torch
from torch import Tensor, nn

__all__ = ['ClampedReLU', 'clamp_fp16']


def clamp_fp16(x: Tensor) -> Tensor:
    """Clamp fp16 to its largest finite values, since infinities of both signs add up to NaN.

    Args:
        x (Tensor): Output of a layer, of any shape.

    Returns:
        Tensor: The clamped values; other dtypes are returned as they are.

    >>> clamp_fp16(torch.tensor([float('inf')], dtype=torch.float16))
    tensor([65504.], dtype=torch.float16)
    """
    if x.dtype != torch.float16:
        return x
    largest = torch.finfo(x.dtype).max
    return x.clamp(-largest, largest)


class ClampedReLU(nn.ReLU):
    """ReLU whose output is finite in fp16."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute ``max(x, 0)``, of the same shape."""
        return clamp_fp16(super().forward(x))
