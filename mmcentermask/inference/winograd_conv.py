"""3x3 convolutions of large maps on CPU by Winograd's minimal filtering, in NNPACK, faster than the direct way."""

import math

import torch
from torch import Tensor, nn

from .packed_conv import OPERATOR_ERRORS, PackedConv2d, is_plain

# measured with one and two threads: with less of these the direct convolution is as fast or faster
_LEAST_IN, _LEAST_OUT, _LEAST_PRODUCTS = 128, 64, 1.5e9


class WinogradConv2d(nn.Module):
    """A convolution that takes Winograd's way for one large map, and the direct one for all other inputs.

    Winograd's minimal filtering (Lavin and Gray, https://arxiv.org/abs/1509.09308) computes the 6 x 6 outputs of a tile
    from 64 products a channel in the place of 324. Its rounding errors are larger, up to 1e-4 of a map's spread; boxes
    stay within 0.01 pixel. Batches of images, for which NNPACK is slower, go the direct way. NNPACK keeps the number of
    threads that torch had when it was first used.

    Args:
        direct (PackedConv2d or nn.Conv2d): 3 x 3, stride 1, padding 1, one group, its weights on CPU, in float32.
        least_pixels (int): The smallest map, height times width, for Winograd's way.
    """

    def __init__(self, direct: nn.Module, least_pixels: int) -> None:
        super().__init__()
        self.direct = direct
        self.least_pixels = least_pixels
        self.relu = isinstance(direct, PackedConv2d) and direct.relu
        self.bias = _unpacked(direct).bias
        self.register_buffer('weight', _unpacked(direct).weight.detach().contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x``, (N, C, H, W)."""
        one_large_map = len(x) == 1 and x.shape[2] * x.shape[3] >= self.least_pixels
        if not one_large_map or x.device.type != 'cpu' or x.dtype is not torch.float32:
            return self.direct(x)
        y = torch._nnpack_spatial_convolution(x.contiguous(), self.weight, self.bias, [1, 1], [1, 1])
        return y.relu_() if self.relu else y


def winograd_works() -> bool:
    """Whether this torch, on this machine, has NNPACK, and it gives what the direct convolution gives."""
    conv = nn.Conv2d(_LEAST_IN, _LEAST_OUT, 3, padding=1)
    x = torch.linspace(-1, 1, _LEAST_IN * 13 * 17).reshape(1, _LEAST_IN, 13, 17)
    try:
        with torch.no_grad():  # NNPACK computes nothing before it was asked whether it is there
            return torch._nnpack_available() and torch.allclose(
                WinogradConv2d(conv, 0)(x), conv(x), rtol=1e-3, atol=1e-3
            )
    except OPERATOR_ERRORS:
        return False


def use_winograd(model: nn.Module) -> int:
    """Let convolutions of the neck and of the box head take Winograd's way where it may be the faster one.

    Those of backbones stay direct: what comes out lies channels-first, and bringing it back costs what was gained.

    Args:
        model (nn.Module): On CPU, in float32, after ``pack_convolutions``; changed in place.

    Returns:
        int: Number of convolutions.
    """
    count = 0
    for part in (model.neck, model.bbox_head):
        for module in [] if part is None else list(part.modules()):
            for name, child in list(module.named_children()):
                if not isinstance(module, PackedConv2d) and _fits(child):
                    least_pixels = math.ceil(_LEAST_PRODUCTS / _unpacked(child).weight.numel())
                    setattr(module, name, WinogradConv2d(child, least_pixels))
                    count += 1
    return count


def _unpacked(conv: nn.Module) -> nn.Module:
    return conv.conv if isinstance(conv, PackedConv2d) else conv


def _fits(conv: nn.Module) -> bool:
    conv = _unpacked(conv)
    return (
        is_plain(conv)
        and (conv.kernel_size, conv.stride, conv.padding, conv.dilation) == ((3, 3), (1, 1), (1, 1), (1, 1))
        and conv.groups == 1
        and conv.in_channels >= _LEAST_IN
        and conv.out_channels >= _LEAST_OUT
    )
