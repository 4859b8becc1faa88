"""Where the pixels of boxes lie in the small maps that masks are predicted as, along x or along y."""

from dataclasses import dataclass

import numpy as np


@dataclass
class BoxAxis:
    """Where the pixels of some boxes lie in their maps, along x or along y.

    Attributes:
        low: Where each box begins, (n,), in pixels of the image.
        size: Of each box, (n,).
        first: The first pixel that each box touches, (n,).
        start: Where each box's pixels start in the arrays below, (n,).
        owner: The box of each pixel, (p,).
        pixel: Its place in the image, (p,).
        grid: Its place in the map, -1..1 from edge to edge, (p,).
        knot: The knot before it, (p,). Knot 0 is outside, knot 1 the center of the map's first pixel.
        share: Its way from that knot to the next, 0..1, (p,).
        edges: The first of a box's pixels behind each knot, counted in the box, and how many it has, (n, knots).
        sane: Whether the pixels of each box go evenly from one end of the map to the other, (n,).
    """

    low: np.ndarray
    size: np.ndarray
    first: np.ndarray
    start: np.ndarray
    owner: np.ndarray
    pixel: np.ndarray
    grid: np.ndarray
    knot: np.ndarray
    share: np.ndarray
    edges: np.ndarray
    sane: np.ndarray


def reach(low: np.ndarray, high: np.ndarray, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels that boxes touch, and one more on each side, as mmdet does.

    Args:
        low (np.ndarray): Where boxes begin, (n,), in pixels of the image.
        high (np.ndarray): Where they end, (n,).
        pixels (int): Width or height of the image.

    Returns:
        tuple[np.ndarray, np.ndarray]: The first pixel of each box, (n,), and how many it has, (n,).
    """
    first = np.clip(np.floor(low) - 1, 0, pixels)
    count = np.maximum(np.minimum(np.ceil(high) + 1, pixels) - first, 0)
    # non-finite boxes have no pixels
    return np.nan_to_num(first).astype(np.int64), np.nan_to_num(count).astype(np.int64)


def lay_out(low: np.ndarray, high: np.ndarray, pixels: int, map_size: int) -> BoxAxis:
    """Find where the pixels of boxes lie in their maps.

    Args:
        low (np.ndarray): Where boxes begin, (n,), float32, in pixels of the image.
        high (np.ndarray): Where they end, (n,), float32.
        pixels (int): Width or height of the image.
        map_size (int): Width or height of the maps.

    Returns:
        BoxAxis: See there.
    """
    first, count = reach(low, high, pixels)
    start = np.cumsum(count) - count
    owner = np.repeat(np.arange(len(low)), count)
    pixel = np.arange(count.sum()) - (start - first)[owner]
    one, half, two = np.float32(1), np.float32(0.5), np.float32(2)
    with np.errstate(all='ignore'):
        # the very operations of mmdet, in its precision
        size = high - low
        grid = (pixel.astype(np.float32) + half - low[owner]) / size[owner] * two - one
    sane = (size > 0) & np.isfinite(size)
    sane[owner[~np.isfinite(grid)]] = False
    grid[np.isinf(grid)] = 0
    # what grid_sample makes of it; beyond the outer knots all is 0
    place = np.where(sane[owner], ((grid + one) * map_size - one) * half, -one).clip(-1, map_size)
    knot = np.minimum(np.floor(place).astype(np.int64), map_size - 1) + 1
    behind = np.bincount(owner * (map_size + 1) + knot, minlength=len(low) * (map_size + 1)).reshape(-1, map_size + 1)
    edges = np.pad(behind.cumsum(axis=1), ((0, 0), (1, 0)))
    share = place - (knot - 1).astype(np.float32)
    return BoxAxis(low, size, first, start, owner, pixel, grid, knot, share, edges, sane)
