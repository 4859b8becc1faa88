"""Lets mmdet's DetInferencer write panoptic predictions."""

from typing import Any

import numpy as np
import torch
from mmdet.apis import det_inferencer
from mmdet.structures.mask import encode_mask_results

from ..structures import ids_to_rgb

__all__ = ['give_mmdet_panoptic_results']


def _encode(masks: torch.Tensor | np.ndarray | list) -> list[dict[str, Any]]:
    is_rle = isinstance(masks, list) and all(isinstance(mask, dict) for mask in masks)
    return masks if is_rle else encode_mask_results(masks)


def give_mmdet_panoptic_results() -> None:
    """Let DetInferencer do without panopticapi, and take masks that are RLEs already."""
    if det_inferencer.id2rgb is None:
        det_inferencer.id2rgb, det_inferencer.VOID = ids_to_rgb, 0
    det_inferencer.encode_mask_results = _encode
