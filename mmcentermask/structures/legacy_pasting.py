"""maskrcnn-benchmark's pasting of masks, by which CenterMaskV1's AP was measured."""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

__all__ = ['legacy_crops']

Resize = Callable[[np.ndarray, tuple[int, int]], np.ndarray]


def _resize(grid_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(grid_map, size[::-1], interpolation=cv2.INTER_LINEAR)


def legacy_crops(
    maps: np.ndarray,
    boxes: np.ndarray,
    height: int,
    width: int,
    threshold: float = 0.5,
    resize: Resize = _resize,
) -> Iterator[tuple[np.ndarray, int, int]]:
    """Paste masks as maskrcnn-benchmark does.

    A ring of zeros is put around the map, and the box is enlarged about its center by as much. Its four numbers are
    truncated; the map is resized to x2 - x1 + 1 by y2 - y1 + 1 pixels, thresholded and written at x1, y1.

    Args:
        maps (np.ndarray): Mask probabilities, float32 (n, h, w).
        boxes (np.ndarray): x1, y1, x2, y2 in pixels of the image without the legacy offset, float32 (n, 4).
        height (int): H, of the image.
        width (int): W, of the image.
        threshold (float): Pixels above this probability belong to the mask. Defaults to 0.5.
        resize (Callable): Resizes a map to a height and width, bilinearly. Defaults to OpenCV's.

    Yields:
        tuple: For each mask, the part of it that may not be empty, bool, and x and y of its top left pixel.
    """
    size = np.array(maps.shape[:0:-1], np.float32)
    ringed = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    center, half = (boxes[:, 2:] + boxes[:, :2]) * 0.5, (boxes[:, 2:] - boxes[:, :2]) * 0.5 * ((size + 2) / size)
    corners = np.nan_to_num(np.concatenate([center - half, center + half], axis=1)).astype(np.int64).tolist()
    for grid_map, (x1, y1, x2, y2) in zip(ringed, corners):
        resized = resize(grid_map, (max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)))
        left, top = max(x1, 0), max(y1, 0)
        yield (resized > threshold)[top - y1 : max(height - y1, 0), left - x1 : max(width - x1, 0)], left, top
