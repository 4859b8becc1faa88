"""Convolutions on CPU whose weights lie in oneDNN's own layout, with the ReLU done on the way."""

import warnings

import torch
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks.wrappers import Conv2d as WrappedConv2d
from mmdet.models.layers import SELayer
from torch import Tensor, nn

from mmcentermask.models import EffectiveSE, SAGMaskHead

# what calling an operator raises that this torch lacks, or has with other arguments
OPERATOR_ERRORS = (AttributeError, NotImplementedError, RuntimeError, TypeError)


class PackedConv2d(nn.Module):
    """A convolution that reorders its weights once, not at every call, and needs no extra pass for its ReLU.

    torch offers this to its own compiler only, so ``pack_convolutions`` uses it where it gives equal results. Inputs
    that are empty or not on a CPU go through the plain convolution.

    Args:
        conv (nn.Conv2d): Its weights on CPU, in float32 or bfloat16.
        relu (bool): Apply a ReLU to the output.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.conv = conv
        self.relu = relu
        self.settings = ([*conv.padding], [*conv.stride], [*conv.dilation], conv.groups)
        # the size of an image is a hint only: the best layout hardly depends on it
        size = [1, conv.in_channels, 64, 64]
        with torch.no_grad():
            self.packed = torch._C._nn.mkldnn_reorder_conv2d_weight(conv.weight.to_mkldnn(), *self.settings, size)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x``, (N, C, H, W); the result is laid out channels-last."""
        if x.numel() == 0 or x.device.type != 'cpu':
            y = self.conv(x)
            return y.relu() if self.relu else y
        return torch.ops.mkldnn._convolution_pointwise(
            x.contiguous(memory_format=torch.channels_last),
            self.packed,
            self.conv.bias,
            *self.settings,
            'relu' if self.relu else 'none',
            [],
            '',
        )


def packing_works(dtype: torch.dtype) -> bool:
    """Whether this torch, on this machine, packs convolutions and gives what the plain ones give."""
    conv = nn.Conv2d(16, 32, 3, padding=1).to(dtype)
    x = torch.linspace(-1, 1, 16 * 81).reshape(1, 16, 9, 9).to(dtype)
    try:
        with torch.no_grad():
            return torch.allclose(PackedConv2d(conv, relu=True)(x), conv(x).relu(), rtol=0.02, atol=0.02)
    except OPERATOR_ERRORS as error:
        warnings.warn(f'convolutions stay as they are, for this torch cannot pack them: {error}', stacklevel=2)
        return False


def pack_convolutions(model: nn.Module) -> int:
    """Pack the convolutions of a model, after its batch norms were folded.

    Some stay as they are: those of mmcv's operators, which must not get channels-last inputs; the last layer of a
    SAGMaskHead, which takes the weights of one class out of it; and channel attention, whose single pixel wants another
    layout of the weights.

    Args:
        model (nn.Module): On CPU, in float32 or bfloat16; changed in place.

    Returns:
        int: Number of convolutions packed.
    """
    count = 0
    attention = {
        part for layer in model.modules() if isinstance(layer, (EffectiveSE, SELayer)) for part in layer.modules()
    }
    for module in list(model.modules()):
        if type(module).__module__.startswith('mmcv.ops') or module in attention:
            continue
        for name, child in list(module.named_children()):
            if not is_plain(child) or (isinstance(module, SAGMaskHead) and name == 'conv_logits'):
                continue
            relu = _ends_in_relu(module)
            setattr(module, name, PackedConv2d(child, relu))
            if relu:
                module.with_activation = False
            count += 1
    return count


def is_plain(conv: nn.Module) -> bool:
    """Whether a module is a convolution with zeros around the input and nothing else to it."""
    return type(conv) in (nn.Conv2d, WrappedConv2d) and conv.padding_mode == 'zeros'


def _ends_in_relu(module: nn.Module) -> bool:
    """Whether a module is a convolution with nothing but a ReLU after it."""
    if not isinstance(module, ConvModule) or not module.with_activation or module.order != ('conv', 'norm', 'act'):
        return False
    return type(module.activate) is nn.ReLU and (not module.with_norm or isinstance(module.norm, nn.Identity))
