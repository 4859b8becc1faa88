"""Folds batch norms into the convolutions before them."""

import torch
from mmcv.cnn import ConvModule, fuse_conv_bn
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def fold_batch_norms(model: nn.Module) -> int:
    """Fold the batch norms of a model in evaluation mode into its convolutions, deformable ones too.

    Args:
        model (nn.Module): Changed in place; a folded norm leaves an Identity.

    Returns:
        int: Number of batch norms folded.
    """
    before = _count(model)
    fuse_conv_bn(model)  # plain convolutions only
    for module in model.modules():
        if isinstance(module, ConvModule) and module.with_norm and isinstance(module.norm, _BatchNorm):
            _fold(module.conv, module.norm)
            setattr(module, module.norm_name, nn.Identity())
    return before - _count(model)


def _count(model: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


def _fold(conv: nn.Module, norm: _BatchNorm) -> None:
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    bias = 0 if conv.bias is None else conv.bias
    conv.weight = nn.Parameter(conv.weight * factor[:, None, None, None])
    conv.bias = nn.Parameter((bias - norm.running_mean) * factor + norm.bias)
