"""Ids of segments as the colors of COCO's panoptic PNGs: id = R + 256 G + 65536 B, and 0 is void."""

import cv2
import numpy as np


def decode_segment_ids(content: bytes) -> np.ndarray | None:
    """Read the ids of a panoptic PNG.

    Args:
        content (bytes): Of the file.

    Returns:
        np.ndarray | None: (H, W), int32; None if it cannot be decoded.
    """
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    return None if pixels is None else pixels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)


def encode_segment_ids(ids: np.ndarray) -> bytes:
    """Make a panoptic PNG of ids (H, W), below 2**24; return the content of the file."""
    return cv2.imencode('.png', np.stack([ids >> 16, ids >> 8 & 255, ids & 255], axis=2).astype(np.uint8))[1].tobytes()
