"""COCO's RLEs: dicts of ``size`` [H, W] and ``counts``, in columns from the top left."""

from typing import Any

import numpy as np
from pycocotools import mask as mask_api

MASK_FORMATS = ('dense', 'rle')


def check_mask_format(test_cfg: dict | None) -> str:
    """Return the form of masks that a mask branch's settings ask for.

    Args:
        test_cfg (dict, optional): ``mask_format``, 'dense' (the default) for tensors of shape (n, H, W) or 'rle' for
            lists of n RLEs, and ``mask_thr_binary``.

    Returns:
        str: 'dense' or 'rle'.

    Raises:
        ValueError: If there is no such form, or ``mask_thr_binary`` leaves nothing to encode.
    """
    test_cfg = test_cfg or {}
    mask_format = test_cfg.get('mask_format', 'dense')
    if mask_format not in MASK_FORMATS:
        raise ValueError(
            f"test_cfg.rcnn.mask_format must be 'dense' (tensors) or 'rle' (COCO RLE), not {mask_format!r}."
        )
    threshold = test_cfg.get('mask_thr_binary', 0.5)
    if mask_format == 'rle' and not threshold > 0:
        raise ValueError(
            f"test_cfg.rcnn.mask_format='rle' needs a mask_thr_binary above 0, not {threshold!r}: take 0.5, or "
            "mask_format='dense'."
        )
    return mask_format


def encode_boundaries(boundaries: list[np.ndarray], height: int, width: int) -> list[dict[str, Any]]:
    """Encode masks as pycocotools would from pixels.

    Args:
        boundaries (list[np.ndarray]): For each mask, where it goes on, off, on, ...: an even number of increasing
            positions ``x * H + y``, each that of the first pixel after the boundary; ``H * W`` at most.
        height (int): H, of the image.
        width (int): W, of the image.

    Returns:
        list[dict]: Compressed RLEs, counts as bytes.
    """
    codes = []
    for mask_boundaries in boundaries:
        counts = np.diff(mask_boundaries, prepend=0, append=height * width)
        # a mask that contains the last pixel ends with its own run
        codes.append({'size': [height, width], 'counts': counts[:-1] if counts[-1] == 0 else counts})
    return mask_api.frPyObjects(codes, height, width) if codes else []


def counts_of(code: str) -> np.ndarray | None:
    """Decode the counts of a compressed RLE.

    Each character is 48 plus six bits: five of a number, the lowest first, and whether more follow. The last five are
    signed. From the fourth number on, a number is the difference to the one before the last. The result is int64, or
    None if the code is broken.
    """
    try:
        values = np.frombuffer(code.encode('ascii'), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        return None
    if not len(values) or (values < 0).any() or (values > 63).any() or values[-1] & 32:
        return None
    last = (values & 32) == 0
    start = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    length = np.diff([*start, len(values)])
    if length.max() > 8:  # 40 bits; a count fits into 32
        return None
    place = np.arange(len(values)) - np.repeat(start, length)
    numbers = np.add.reduceat((values & 31) << (5 * place), start)
    negative = (values[last] & 16) != 0
    numbers[negative] -= 1 << (5 * length[negative])
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def decode_crop(code: dict[str, Any]) -> tuple[np.ndarray, int, int]:
    """Decode the part of a mask that is not empty, without making the image.

    Args:
        code (dict): A compressed RLE.

    Returns:
        tuple: Pixels of shape (h, w), bool; and x and y of their top left one in the image.
    """
    (x, y, width, height), image_height = mask_api.toBbox(code).astype(int), code['size'][0]
    counts = code['counts']
    ends = np.cumsum(counts_of(counts.decode() if isinstance(counts, bytes) else counts)) - x * image_height
    starts, stops = ends[:-1:2], ends[1::2]
    kept = starts < stops  # a run may be empty
    changes = np.zeros(width * image_height + 1, np.int8)  # of the columns that the mask is in
    np.add.at(changes, starts[kept], 1)
    np.add.at(changes, stops[kept], -1)
    columns = np.cumsum(changes[:-1], dtype=np.int8).astype(bool).reshape(width, image_height)
    return columns[:, y : y + height].T, x, y


def encode_crop(crop: np.ndarray, x: int, y: int, height: int, width: int) -> dict[str, Any]:
    """Encode a mask of which one crop is known to hold all pixels, without making the image.

    Args:
        crop (np.ndarray): Pixels of shape (h, w), bool.
        x (int): Column of the crop's left pixels in the image.
        y (int): Row of its top pixels.
        height (int): H, of the image.
        width (int): W, of the image.

    Returns:
        dict: A compressed RLE, counts as bytes.
    """
    columns, rows = np.nonzero(np.diff(crop.T, prepend=False, append=False))
    (code,) = encode_boundaries([without_pairs((x + columns) * height + y + rows)], height, width)
    return code


def without_pairs(boundaries: np.ndarray) -> np.ndarray:
    """Of equal ones among increasing boundaries, which undo each other, keep one where their number is odd."""
    if len(boundaries) == 0:
        return boundaries
    starts = np.flatnonzero(np.diff(boundaries, prepend=boundaries[0] - 1))
    if len(starts) == len(boundaries):
        return boundaries
    return boundaries[starts[np.diff(starts, append=len(boundaries)) % 2 == 1]]


def rle_to_json(codes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Copy RLEs with counts as str, which JSON can hold."""
    return [{**c, 'counts': c['counts'].decode() if isinstance(c['counts'], bytes) else c['counts']} for c in codes]
