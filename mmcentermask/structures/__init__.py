"""Masks and their boxes: pasting, RLEs, and what mask heads learn."""

from .legacy_pasting import paste_legacy
from .mask_pasting import paste_dense, paste_masks, paste_rle
from .mask_targets import crop_masks
from .rle import MASK_FORMATS, check_mask_format, decode_crop, encode_boundaries, encode_crop, rle_to_json
from .segment_ids import decode_segment_ids, encode_segment_ids, ids_to_rgb, list_segments

__all__ = [
    'MASK_FORMATS',
    'check_mask_format',
    'crop_masks',
    'decode_crop',
    'decode_segment_ids',
    'encode_boundaries',
    'encode_crop',
    'encode_segment_ids',
    'ids_to_rgb',
    'list_segments',
    'paste_legacy',
    'paste_masks',
    'paste_dense',
    'paste_rle',
    'rle_to_json',
]
