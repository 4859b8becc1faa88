"""Finds where pasted masks begin and end without making the image, at the very pixels of mmdet's pasting.

mmdet's FCNMaskHead samples the small map of a mask at every pixel of its box, cuts the values at a threshold and
writes them into an image, which pycocotools then reads pixel by pixel. Here a mask is found by where it goes on and
off along each column of pixels. Along a column the sampled value is piecewise linear between knots, the centers of the
map's pixels, so a boundary lies between two knots on different sides of the threshold and can be solved for: work and
memory go with the lengths of the boxes' sides, not with areas.

Rounding could make such a boundary differ by a pixel from what sampling gives. Where a value comes so close to the
threshold that it might, the pixels between the two knots are sampled as mmdet samples them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .rle import without_pairs

__all__ = ['Sampler', 'find_boundaries', 'sample_bilinear']

MAX_KNOTS = 1 << 18  # held at once, if one mask has no more
MAX_PIXELS = 1 << 18  # sampled at once
_ROUNDING = 2.0**-20  # above the relative error of a sampled value, for each pixel of a map's side

Sampler = Callable[[np.ndarray, np.ndarray], np.ndarray]


def sample_bilinear(grid_map: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Sample a map as torch's ``grid_sample`` does by default; beyond the map all is 0.

    Args:
        grid_map (np.ndarray): float32 (h, w).
        points (np.ndarray): x, y, -1..1 from edge to edge, float32 (p, 2).

    Returns:
        np.ndarray: Values (p,). Those of torch differ by about 1e-6, as it adds up in another order.
    """
    size = np.array(grid_map.shape[::-1], np.float32)
    # the ring outside is all 0, and so are places that are no number, of boxes without an area
    place = np.nan_to_num(((points + 1) * size - 1) / 2, nan=-1).clip(-1, size)
    corner = np.minimum(np.floor(place), size - 1).astype(np.int64)
    (x, y), (right, down) = corner.T + 1, (place - corner).T
    ringed = np.pad(grid_map, 1)
    upper = ringed[y, x] * (1 - right) + ringed[y, x + 1] * right
    lower = ringed[y + 1, x] * (1 - right) + ringed[y + 1, x + 1] * right
    return upper * (1 - down) + lower * down


@dataclass
class _BoxAxis:
    """Where the pixels, p in all, of n boxes lie in their maps, along x or along y."""

    low: np.ndarray  # where each box begins, (n,), in pixels of the image
    size: np.ndarray  # of each box, (n,)
    first: np.ndarray  # the first pixel that each box touches, (n,)
    start: np.ndarray  # where each box's pixels start in the arrays of (p,)
    owner: np.ndarray  # the box of each pixel, (p,)
    pixel: np.ndarray  # its place in the image, (p,)
    grid: np.ndarray  # its place in the map, -1..1 from edge to edge, (p,)
    knot: np.ndarray  # the knot before it, (p,); knot 0 is outside, knot 1 the center of the map's first pixel
    share: np.ndarray  # its way from that knot to the next, 0..1, (p,)
    edges: np.ndarray  # the first of a box's pixels behind each knot, counted in it, and how many it has, (n, knots)
    sane: np.ndarray  # whether the pixels of each box go evenly from one end of the map to the other, (n,)


def _reach(low: np.ndarray, high: np.ndarray, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the pixels that boxes touch, and one more on each side, as mmdet does.

    Boxes begin at ``low`` and end at ``high``, (n,), in an image of so many ``pixels``. Returns the first pixel of each
    box, (n,), and how many it has, (n,).
    """
    first = np.clip(np.floor(low) - 1, 0, pixels)
    count = np.maximum(np.minimum(np.ceil(high) + 1, pixels) - first, 0)
    # non-finite boxes have no pixels
    return np.nan_to_num(first).astype(np.int64), np.nan_to_num(count).astype(np.int64)


def _lay_out(low: np.ndarray, high: np.ndarray, pixels: int, map_size: int) -> _BoxAxis:
    """Find where the pixels of boxes, from ``low`` to ``high``, float32 (n,), lie in their maps of ``map_size``."""
    first, count = _reach(low, high, pixels)
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
    return _BoxAxis(low, size, first, start, owner, pixel, grid, knot, share, edges, sane)


def _groups(sizes: np.ndarray, most: int) -> Iterator[slice]:
    """Cut a list into parts whose sizes sum to ``most`` at most; one that is larger is a part by itself."""
    sums = np.concatenate([[0], np.cumsum(sizes)])
    begin = 0
    while begin < len(sizes):
        end = max(begin + 1, int(np.searchsorted(sums, sums[begin] + most, side='right')) - 1)
        yield slice(begin, end)
        begin = end


def find_boundaries(
    maps: np.ndarray,
    boxes: np.ndarray,
    height: int,
    width: int,
    threshold: float = 0.5,
    sampler: Sampler = sample_bilinear,
) -> Iterator[np.ndarray]:
    """Find where masks go on, off, on, ... along the image's columns, laid end to end.

    Args:
        maps (np.ndarray): Mask probabilities, float32 (n, h, w).
        boxes (np.ndarray): x1, y1, x2, y2 in pixels of the image, float32 (n, 4); they may leave it.
        height (int): H, of the image.
        width (int): W, of the image.
        threshold (float): Pixels of at least this probability belong to the mask; above 0. Defaults to 0.5.
        sampler (Callable): Samples a map where rounding could decide, as ``sample_bilinear``, which is the default.

    Yields:
        np.ndarray: For each mask an even number of increasing positions, ``x * H + y``.
    """
    x1, y1, x2, y2 = boxes.T
    for part in _groups(_reach(x1, x2, width)[1] * (maps.shape[1] + 2), MAX_KNOTS):
        x = _lay_out(x1[part], x2[part], width, maps.shape[2])
        y = _lay_out(y1[part], y2[part], height, maps.shape[1])
        yield from _boundaries_of_group(maps[part], x, y, (height, width), threshold, sampler)


def _boundaries_of_group(
    maps: np.ndarray, x: _BoxAxis, y: _BoxAxis, image: tuple[int, int], threshold: float, sampler: Sampler
) -> list[np.ndarray]:
    """As ``find_boundaries``, for masks whose axes are known."""
    if not (len(x.pixel) and len(y.pixel)):
        return [np.zeros(0, np.int64)] * len(maps)
    table = np.ascontiguousarray(np.pad(maps, ((0, 0), (1, 1), (1, 1))).transpose(0, 2, 1))
    at_knot = table.shape[1] * x.owner + x.knot
    table = table.reshape(-1, table.shape[2])
    # the value of every column at every knot along it: (columns, knots)
    values = table[at_knot + 1]
    values -= table[at_knot]
    values *= x.share[:, None]
    values += table[at_knot]

    margin = _ROUNDING * sum(maps.shape[1:]) * max(float(np.abs(maps).max()), 1.0)
    inside = values >= threshold
    close = ~(np.abs(values - np.float32(threshold)) >= margin)  # so is NaN
    doubtful = close[:, :-1] | close[:, 1:]
    doubtful[~(x.sane & y.sane)[x.owner]] = True

    column, knot = np.nonzero(inside[:, 1:] != inside[:, :-1])
    boundary, certain = _solve(y, x.owner[column], knot, values, column, threshold, margin)
    doubtful[column[~certain], knot[~certain]] = True
    # between doubtful knots every pixel is first taken to be as the first knot is
    boundary = np.where(doubtful[column, knot], y.edges[x.owner[column], knot + 1], boundary)
    # one number for mask and position; a position may be one behind the last pixel
    stride = image[0] * image[1] + 1
    origin = stride * x.owner + image[0] * x.pixel + y.first[x.owner]
    boundaries = origin[column] + boundary
    flips = list(_flips(maps, x, y, origin, doubtful, inside, threshold, sampler))
    if flips:
        boundaries = np.sort(np.concatenate([boundaries, *flips]), kind='stable')
    boundaries = without_pairs(boundaries)
    bounds = np.searchsorted(boundaries, stride * np.arange(len(maps) + 1))
    return [boundaries[bounds[i] : bounds[i + 1]] - stride * i for i in range(len(maps))]


def _solve(
    y: _BoxAxis,
    owner: np.ndarray,
    knot: np.ndarray,
    values: np.ndarray,
    column: np.ndarray,
    threshold: float,
    margin: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the first pixel behind each crossing of the threshold, and whether rounding cannot have moved it.

    Each crossing lies in a ``column``, behind a ``knot``, in the mask ``owner``: (c,) each. ``values`` (columns, knots)
    farther than ``margin`` from the threshold are certain. The pixel, (c,), is counted in its box.
    """
    before = values[column, knot]
    slope = values[column, knot + 1] - before
    begin, end = y.edges[owner, knot], y.edges[owner, knot + 1]
    place = knot - 0.5 + (threshold - before.astype(np.float64)) / slope
    with np.errstate(invalid='ignore'):  # of boxes that are not sane
        pixel = place / (y.edges.shape[1] - 2) * y.size[owner] + y.low[owner] - 0.5 - y.first[owner]
    boundary = np.nan_to_num(np.ceil(pixel)).clip(begin, end).astype(np.int64)
    # the values of the pixels on both sides, as far as they are between the two knots
    last = len(y.share) - 1
    behind = y.start[owner] + boundary
    upward = np.sign(slope)
    value_before = before + slope * y.share[np.clip(behind - 1, 0, last)]
    value_behind = before + slope * y.share[np.minimum(behind, last)]
    certain = (boundary == begin) | ((threshold - value_before) * upward >= margin)
    certain &= (boundary == end) | ((value_behind - threshold) * upward >= margin)
    return boundary, certain


def _flips(
    maps: np.ndarray,
    x: _BoxAxis,
    y: _BoxAxis,
    origin: np.ndarray,
    doubtful: np.ndarray,
    inside: np.ndarray,
    threshold: float,
    sampler: Sampler,
) -> Iterator[np.ndarray]:
    """Sample the pixels between doubtful knots, (columns, knots - 1), as mmdet does.

    ``origin`` (columns,) is the position of each column's first pixel, ``inside`` (columns, knots) what the pixels
    behind each knot are taken to be. Yields the positions of pixels that differ from that, and of those after them.
    """
    column, knot = np.nonzero(doubtful)
    owner = x.owner[column]
    begin = y.edges[owner, knot]
    count = y.edges[owner, knot + 1] - begin
    for part in _groups(count, MAX_PIXELS):
        start = np.cumsum(count[part]) - count[part]
        of = np.repeat(np.arange(part.start, part.stop), count[part])
        row = np.arange(len(of)) - (start - begin[part])[of - part.start]
        grid = np.stack([x.grid[column[of]], y.grid[y.start[owner[of]] + row]], axis=1)
        wrong = _sample(maps, owner[of], grid, threshold, sampler) != inside[column[of], knot[of]]
        position = (origin[column[of]] + row)[wrong]
        yield from (position, position + 1)


def _sample(maps: np.ndarray, owner: np.ndarray, grid: np.ndarray, threshold: float, sampler: Sampler) -> np.ndarray:
    """Whether the values of maps (n, h, w) at points (p, 2) of increasing owners (p,) reach the threshold, (p,)."""
    result = np.zeros(len(owner), bool)
    bounds = np.searchsorted(owner, np.arange(len(maps) + 1))
    for i in np.flatnonzero(np.diff(bounds)).tolist():
        points = slice(bounds[i], bounds[i + 1])
        result[points] = sampler(maps[i], grid[points]) >= np.float32(threshold)
    return result
