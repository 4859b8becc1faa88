"""Runs the dense part of a CenterMask in bfloat16 or float16, and in float32 what would suffer."""

import torch
from torch import Tensor, nn

from mmcentermask.models import EffectiveSE


def _operators(model: nn.Module) -> list[nn.Module]:
    """What computes in float32 amid other precision: mmcv's RoIAlign and deformable convolutions, and eSE's layer."""
    layers = [module.fc for module in model.modules() if isinstance(module, EffectiveSE)]
    return [module for module in model.modules() if type(module).__module__.startswith('mmcv.ops')] + layers


def _predictors(model: nn.Module) -> list[nn.Module]:
    """The last layers of the box head and of the mask-IoU head, whose outputs are distances and scores."""
    heads = [model.bbox_head, model.roi_head.mask_iou_head]
    children = [child for head in heads if head is not None for child in head.children()]
    return [child for child in children if any(True for _ in child.parameters()) and not _is_tower(child)]


def _is_tower(module: nn.Module) -> bool:
    return isinstance(module, nn.ModuleList) and any(
        isinstance(part, (nn.Conv2d, nn.Linear)) for part in module.modules()
    )


def convert_weights(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert the weights of backbone, neck and heads, but for operators and the last layers.

    Args:
        model (nn.Module): A CenterMask, changed in place.
        dtype (torch.dtype): ``torch.bfloat16`` or ``torch.float16``.
    """
    for part in (model.backbone, model.neck, model.bbox_head, model.roi_head):
        if part is not None:
            part.to(dtype)
    for module in [*_operators(model), *_predictors(model)]:
        module.float()


def convert_activations(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert what goes into and comes out of the parts, by hooks.

    Args:
        model (nn.Module): As ``convert_weights`` left it.
        dtype (torch.dtype): The same.
    """
    for module in _operators(model):
        module.register_forward_pre_hook(_Inputs(torch.float32))
        module.register_forward_hook(_Output(dtype))
    for module in _predictors(model):
        module.register_forward_pre_hook(_Inputs(torch.float32))
    for module in (model.backbone, model.roi_head.mask_head, model.roi_head.mask_iou_head):
        if module is not None:
            module.register_forward_pre_hook(_Inputs(dtype))
    model.roi_head.mask_head.register_forward_hook(_Output(torch.float32))


class _Inputs:
    """Forward pre-hook that converts the floating-point tensors among the arguments."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __call__(self, module: nn.Module, args: tuple) -> tuple:
        return tuple(_convert(arg, self.dtype) for arg in args)


class _Output:
    """Forward hook that converts the output, a tensor."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __call__(self, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        return _convert(output, self.dtype)


def _convert(value, dtype: torch.dtype):
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value
