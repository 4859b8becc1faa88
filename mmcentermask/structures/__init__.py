"""Masks and their boxes: results of an image, pasting, RLEs, and what mask heads learn."""

import importlib

from .instances import Instances
from .legacy_pasting import legacy_crops
from .mask_boundaries import find_boundaries
from .panoptic_map import decode_segment_ids, encode_segment_ids, ids_to_rgb, list_segments
from .rle import MASK_FORMATS, check_mask_format, decode_crop, encode_boundaries, encode_crop, rle_to_json

# imported when they are asked for: they need torch and mmdet, which an exported model runs without
_WITH_TORCH = {
    'crop_masks': 'mask_targets',
    'paste_dense': 'mask_pasting',
    'paste_legacy': 'mask_pasting',
    'paste_masks': 'mask_pasting',
    'paste_rle': 'mask_pasting',
}

__all__ = [
    'MASK_FORMATS',
    'Instances',
    'check_mask_format',
    'decode_crop',
    'decode_segment_ids',
    'encode_boundaries',
    'encode_crop',
    'encode_segment_ids',
    'find_boundaries',
    'ids_to_rgb',
    'legacy_crops',
    'list_segments',
    'rle_to_json',
    *_WITH_TORCH,
]


def __getattr__(name: str):
    if name in _WITH_TORCH:
        return getattr(importlib.import_module(f'.{_WITH_TORCH[name]}', __name__), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
