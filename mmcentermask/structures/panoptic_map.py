"""Panoptic maps, made in numpy from objects and the classes of pixels, their segments, and COCO's PNGs of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from .rle import decode_crop

if TYPE_CHECKING:
    from torch import Tensor

INSTANCE_OFFSET = 1000  # mmdet's, which is not imported: results are drawn where it is not installed, too
FUSION = ('score_thr', 'mask_overlap', 'stuff_area_limit')  # settings of ``fuse``


def fuse(
    labels: Sequence[int],
    scores: np.ndarray,
    masks: Sequence[dict[str, Any] | np.ndarray],
    stuff: np.ndarray,
    num_things: int,
    num_stuff: int,
    score_thr: float,
    mask_overlap: float,
    stuff_area_limit: int,
) -> np.ndarray:
    """Lay objects down from the best score to the worst, on pixels that no other has; what they leave is stuff.

    Args:
        labels (Sequence[int]): Class of each object, 0..T - 1.
        scores (np.ndarray): Of each object, (K,).
        masks (Sequence): Of each object, an RLE or bool (H, W).
        stuff (np.ndarray): Best class of each pixel, (H, W): stuff is 0..S - 1, S stands for things.
        num_things (int): T.
        num_stuff (int): S.
        score_thr (float): Objects of a lower score are left out.
        mask_overlap (float): So are those of which more than this share lies on better ones.
        stuff_area_limit (int): Stuff of fewer pixels becomes void.

    Returns:
        np.ndarray: Of each pixel its label, int32 (H, W): things 0..T - 1 and 1000 times the number of the object,
        from 1, more; stuff T..T + S - 1; void T + S.
    """
    panoptic = np.zeros(stuff.shape, np.int32)  # a label and the number of an object; 0 is free
    number = 0
    for i in np.argsort(-np.asarray(scores), kind='stable'):
        if scores[i] < score_thr:
            break
        mask, x, y = decode_crop(masks[i]) if isinstance(masks[i], dict) else (masks[i], 0, 0)
        window = panoptic[y : y + mask.shape[0], x : x + mask.shape[1]]
        free = mask & (window == 0)
        area, left = int(mask.sum()), int(free.sum())
        if not left or area - left > mask_overlap * area:
            continue
        number += 1
        window[free] = labels[i] + number * INSTANCE_OFFSET
    free = panoptic == 0
    counts = np.bincount(stuff[free], minlength=num_stuff + 1)
    values = num_things + np.arange(num_stuff + 1, dtype=np.int32)
    values[:-1][counts[:-1] < stuff_area_limit] = num_things + num_stuff  # void, as things without object
    panoptic[free] = values[stuff[free]]
    return panoptic


def classify_pixels(
    logits: np.ndarray, padded: tuple[int, int], size: tuple[int, int], original: tuple[int, int]
) -> np.ndarray:
    """Find the best class of each pixel of an image, a class at a time, as all may fill the memory.

    Args:
        logits (np.ndarray): float32 (S + 1, h, w).
        padded (tuple): Width and height of the network's input, whose whole area the logits cover.
        size (tuple): Width and height of the image in it.
        original (tuple): Width and height of the answer.

    Returns:
        np.ndarray: uint8 (H, W).
    """
    best = classes = None
    for label, channel in enumerate(logits):
        values = cv2.resize(channel, padded, interpolation=cv2.INTER_LINEAR)[: size[1], : size[0]]
        if size != original:
            values = cv2.resize(values, original, interpolation=cv2.INTER_LINEAR)
        if best is None:
            best, classes = values.copy(), np.zeros(values.shape, np.uint8)
            continue
        classes[values > best] = label
        np.maximum(best, values, out=best)
    return classes


def list_segments(panoptic: Tensor | np.ndarray, num_classes: int) -> tuple[np.ndarray, list[dict[str, int]]]:
    """List the segments of a panoptic map.

    Args:
        panoptic (Tensor or np.ndarray): A label for each pixel and, for things, 1000 times the number of the object
            more, (H, W).
        num_classes (int): Number of classes; as a label it stands for void.

    Returns:
        tuple: Ids of the pixels, (H, W), int32: the same numbers, but 0 for void; and ``id``, ``label`` and ``area``
        in pixels of each segment.
    """
    ids = np.array(panoptic if isinstance(panoptic, np.ndarray) else panoptic.cpu().numpy())
    ids[ids % INSTANCE_OFFSET == num_classes] = 0
    counted = zip(*(values.tolist() for values in np.unique(ids, return_counts=True)))
    return ids, [dict(id=number, label=number % INSTANCE_OFFSET, area=area) for number, area in counted if number]


def ids_to_rgb(ids: np.ndarray) -> np.ndarray:
    """Turn ids (H, W), below 2**24, into colors, (H, W, 3), uint8."""
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=2).astype(np.uint8)


def encode_segment_ids(ids: np.ndarray) -> bytes:
    """Make a panoptic PNG of ids (H, W), below 2**24: id = R + 256 G + 65536 B; return the content of the file."""
    return cv2.imencode('.png', ids_to_rgb(ids)[..., ::-1])[1].tobytes()


def decode_segment_ids(content: bytes) -> np.ndarray | None:
    """Read the ids, int32 (H, W), of the content of a panoptic PNG; None if it cannot be decoded."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    return None if pixels is None else pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
