"""Finds where pasted masks begin and end without making the image, at the very pixels of mmdet's pasting.

mmdet's FCNMaskHead samples the small map of a mask at every pixel of its box, cuts the values at a threshold and
writes them into an image, which pycocotools then reads pixel by pixel. Here a mask is found by where it goes on and
off along each line of pixels (a column for RLE, a row for dense masks). Along a line the sampled value is
piecewise linear between knots, the centers of the map's pixels, so a boundary lies between two knots on different sides
of the threshold and can be solved for: work and memory go with the lengths of the lines' sides, not with areas.

Rounding could make such a boundary differ by a pixel from what sampling gives. Where a value comes so close to the
threshold that it might, the pixels between the two knots are sampled as mmdet samples them.
"""

from collections.abc import Callable, Iterator

import numpy as np

from .box_axis import BoxAxis, lay_out, reach
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
    by_column: bool = True,
    sampler: Sampler = sample_bilinear,
) -> Iterator[np.ndarray]:
    """Find where masks go on, off, on, ... along the image's columns or rows, laid end to end.

    Args:
        maps (np.ndarray): Mask probabilities, float32 (n, h, w).
        boxes (np.ndarray): x1, y1, x2, y2 in pixels of the image, float32 (n, 4); they may leave it.
        height (int): H, of the image.
        width (int): W, of the image.
        threshold (float): Pixels of at least this probability belong to the mask; above 0. Defaults to 0.5.
        by_column (bool): Go along columns, as RLEs do, and not along rows. Defaults to True.
        sampler (Callable): Samples a map where rounding could decide, as ``sample_bilinear``, which is the default.

    Yields:
        np.ndarray: For each mask an even number of increasing positions: ``x * H + y`` if ``by_column``, else
        ``y * W + x``.
    """
    x1, y1, x2, y2 = boxes.T
    low, high, pixels = (x1, x2, width) if by_column else (y1, y2, height)
    knots = maps.shape[1 if by_column else 2] + 2
    for part in _groups(reach(low, high, pixels)[1] * knots, MAX_KNOTS):
        x = lay_out(x1[part], x2[part], width, maps.shape[2])
        y = lay_out(y1[part], y2[part], height, maps.shape[1])
        yield from _boundaries_of_group(maps[part], x, y, (height, width), threshold, by_column, sampler)


def _boundaries_of_group(
    maps: np.ndarray,
    x: BoxAxis,
    y: BoxAxis,
    image: tuple[int, int],
    threshold: float,
    by_column: bool,
    sampler: Sampler,
) -> list[np.ndarray]:
    """As ``find_boundaries``, for masks whose axes are known."""
    lines, along, length = (x, y, image[0]) if by_column else (y, x, image[1])
    if not (len(lines.pixel) and len(along.pixel)):
        return [np.zeros(0, np.int64)] * len(maps)
    grids = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    table = np.ascontiguousarray(grids.transpose(0, 2, 1) if by_column else grids)
    at_knot = table.shape[1] * lines.owner + lines.knot
    table = table.reshape(-1, table.shape[2])
    # the value of every line at every knot along it: (lines, knots)
    values = table[at_knot + 1]
    values -= table[at_knot]
    values *= lines.share[:, None]
    values += table[at_knot]

    margin = _ROUNDING * sum(maps.shape[1:]) * max(float(np.abs(maps).max()), 1.0)
    inside = values >= threshold
    close = ~(np.abs(values - np.float32(threshold)) >= margin)  # so is NaN
    doubtful = close[:, :-1] | close[:, 1:]
    doubtful[~(lines.sane & along.sane)[lines.owner]] = True

    line, knot = np.nonzero(inside[:, 1:] != inside[:, :-1])
    boundary, certain = _solve(along, lines.owner[line], knot, values, line, threshold, margin)
    doubtful[line[~certain], knot[~certain]] = True
    # between doubtful knots every pixel is first taken to be as the first knot is
    boundary = np.where(doubtful[line, knot], along.edges[lines.owner[line], knot + 1], boundary)
    # one number for mask and position; a position may be one behind the last pixel
    stride = image[0] * image[1] + 1
    origin = stride * lines.owner + length * lines.pixel + along.first[lines.owner]
    boundaries = origin[line] + boundary
    flips = list(_flips(maps, lines, along, origin, doubtful, inside, threshold, by_column, sampler))
    if flips:
        boundaries = np.sort(np.concatenate([boundaries, *flips]), kind='stable')
    boundaries = without_pairs(boundaries)
    bounds = np.searchsorted(boundaries, stride * np.arange(len(maps) + 1))
    return [boundaries[bounds[i] : bounds[i + 1]] - stride * i for i in range(len(maps))]


def _solve(
    along: BoxAxis,
    owner: np.ndarray,
    knot: np.ndarray,
    values: np.ndarray,
    line: np.ndarray,
    threshold: float,
    margin: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the first pixel behind each crossing of the threshold, and whether rounding cannot have moved it.

    Each crossing lies on a ``line``, along the axis ``along``, behind a ``knot``, in the mask ``owner``: (c,) each.
    ``values`` (lines, knots) farther than ``margin`` from the threshold are certain. The pixel, (c,), is counted in its
    box.
    """
    before = values[line, knot]
    slope = values[line, knot + 1] - before
    begin, end = along.edges[owner, knot], along.edges[owner, knot + 1]
    place = knot - 0.5 + (threshold - before.astype(np.float64)) / slope
    with np.errstate(invalid='ignore'):  # of boxes that are not sane
        pixel = place / (along.edges.shape[1] - 2) * along.size[owner] + along.low[owner] - 0.5 - along.first[owner]
    boundary = np.nan_to_num(np.ceil(pixel)).clip(begin, end).astype(np.int64)
    # the values of the pixels on both sides, as far as they are between the two knots
    last = len(along.share) - 1
    behind = along.start[owner] + boundary
    upward = np.sign(slope)
    value_before = before + slope * along.share[np.clip(behind - 1, 0, last)]
    value_behind = before + slope * along.share[np.minimum(behind, last)]
    certain = (boundary == begin) | ((threshold - value_before) * upward >= margin)
    certain &= (boundary == end) | ((value_behind - threshold) * upward >= margin)
    return boundary, certain


def _flips(
    maps: np.ndarray,
    lines: BoxAxis,
    along: BoxAxis,
    origin: np.ndarray,
    doubtful: np.ndarray,
    inside: np.ndarray,
    threshold: float,
    by_column: bool,
    sampler: Sampler,
) -> Iterator[np.ndarray]:
    """Sample the pixels between doubtful knots, (lines, knots - 1), as mmdet does.

    ``origin`` (lines,) is the position of each line's first pixel, ``inside`` (lines, knots) what the pixels behind
    each knot are taken to be. Yields the positions of pixels that differ from that, and of those after them.
    """
    line, knot = np.nonzero(doubtful)
    owner = lines.owner[line]
    begin = along.edges[owner, knot]
    count = along.edges[owner, knot + 1] - begin
    for part in _groups(count, MAX_PIXELS):
        start = np.cumsum(count[part]) - count[part]
        of = np.repeat(np.arange(part.start, part.stop), count[part])
        row = np.arange(len(of)) - (start - begin[part])[of - part.start]
        across, down = lines.grid[line[of]], along.grid[along.start[owner[of]] + row]
        grid = np.stack([across, down] if by_column else [down, across], axis=1)
        wrong = _sample(maps, owner[of], grid, threshold, sampler) != inside[line[of], knot[of]]
        position = (origin[line[of]] + row)[wrong]
        yield from (position, position + 1)


def _sample(maps: np.ndarray, owner: np.ndarray, grid: np.ndarray, threshold: float, sampler: Sampler) -> np.ndarray:
    """Whether the values of maps (n, h, w) at points (p, 2) of increasing owners (p,) reach the threshold, (p,)."""
    result = np.zeros(len(owner), bool)
    bounds = np.searchsorted(owner, np.arange(len(maps) + 1))
    for i in np.flatnonzero(np.diff(bounds)).tolist():
        points = slice(bounds[i], bounds[i + 1])
        result[points] = sampler(maps[i], grid[points]) >= np.float32(threshold)
    return result
