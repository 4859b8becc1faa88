"""Compiles the dense part of a model with torch.compile."""

import os
import shutil

import torch
from torch import nn


def check_compiler(device: torch.device) -> None:
    """Find out whether torch.compile can work.

    Args:
        device (torch.device): Where the model is.

    Raises:
        RuntimeError: If torch.compile needs a C++ compiler and there is none.
    """
    names = [name for name in (os.environ.get('CXX'), 'g++', 'clang++', 'c++', 'cl') if name]
    if device.type == 'cpu' and not any(map(shutil.which, names)):
        raise RuntimeError(
            'compile=True needs a C++ compiler on CPU, and there is none: install one (g++, say), name it in CXX, '
            'or leave compile out.'
        )


def compile_dense_part(model: nn.Module) -> list[str]:
    """Compile backbone, neck, box head, mask head and mask-IoU head, each for images of any size.

    Args:
        model (nn.Module): A CenterMask, changed in place; compiled when it first runs.

    Returns:
        list[str]: Names of the parts.
    """
    parts = {
        'backbone': model.backbone,
        'neck': model.neck,
        'bbox_head': model.bbox_head,
        'mask_head': model.roi_head.mask_head,
        'mask_iou_head': model.roi_head.mask_iou_head,
    }
    parts = {name: part for name, part in parts.items() if part is not None}
    for part in parts.values():
        part.compile(dynamic=True)
    return list(parts)
