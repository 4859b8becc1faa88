"""Masks and their boxes: pasting, run-length codes, and what mask heads learn."""

from .mask_pasting import paste_dense, paste_run_lengths
from .mask_targets import crop_masks
from .rle import MASK_FORMATS, check_mask_format, decode_crop, encode_turns, with_text_counts

__all__ = [
    'MASK_FORMATS',
    'check_mask_format',
    'crop_masks',
    'decode_crop',
    'encode_turns',
    'paste_dense',
    'paste_run_lengths',
    'with_text_counts',
]
