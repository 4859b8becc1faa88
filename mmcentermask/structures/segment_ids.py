"""Segments of panoptic maps, and COCO's PNGs of them, whose colors are ids: id = R + 256 G + 65536 B, and 0 is void."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

INSTANCE_OFFSET = 1000  # mmdet's, which is not imported: results are drawn where it is not installed, too


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
    """Make a panoptic PNG of ids (H, W), below 2**24; return the content of the file."""
    return cv2.imencode('.png', ids_to_rgb(ids)[..., ::-1])[1].tobytes()


def decode_segment_ids(content: bytes) -> np.ndarray | None:
    """Read the ids of a panoptic PNG.

    Args:
        content (bytes): Of the file.

    Returns:
        np.ndarray | None: (H, W), int32; None if it cannot be decoded.
    """
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    return None if pixels is None else pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
