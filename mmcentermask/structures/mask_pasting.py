"""Pastes masks into their boxes without making the image, and with the very pixels that mmdet's pasting gives.

mmdet's FCNMaskHead samples the small map of a mask at every pixel of its box, cuts the values at a threshold and
writes them into an image, which pycocotools then reads pixel by pixel. Here a mask is found by where it goes on and
off along each line of pixels (a column for RLE, a row for dense masks). Along a line the sampled value is
piecewise linear between knots, the centers of the map's pixels, so a boundary lies between two knots on different sides
of the threshold and can be solved for: work and memory go with the lengths of the lines' sides, not with areas.

Rounding could make such a boundary differ by a pixel from what sampling gives. Where a value comes so close to the
threshold that it might, the pixels between the two knots are sampled as mmdet samples them.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from torch import Tensor

from .box_axis import BoxAxis, lay_out, reach
from .rle import encode_boundaries, without_pairs

MAX_KNOTS = 1 << 18  # held at once, if one mask has no more
MAX_PIXELS = 1 << 18  # sampled at once
_ROUNDING = 2.0**-20  # above the relative error of a sampled value, for each pixel of a map's side
GPU_BYTES = 1 << 30  # of the images that a GPU fills at once


def paste_masks(
    maps: Tensor, boxes: Tensor, height: int, width: int, threshold: float, mask_format: str
) -> Tensor | list[dict]:
    """Paste masks into their boxes by ``paste_rle`` or ``paste_dense``, as ``mask_format`` ('rle', 'dense') says.

    Returns RLEs, or masks (n, H, W), bool, which stay on a GPU if the maps are there.
    """
    if mask_format == 'rle':
        return paste_rle(maps, boxes, height, width, threshold)
    if not maps.is_cuda:
        return paste_dense(maps, boxes, height, width, threshold)
    # a GPU is fast at filling images that stay there
    images = maps.new_zeros((len(maps), height, width), dtype=torch.bool)
    for part in torch.arange(len(maps), device=maps.device).split(max(GPU_BYTES // (4 * height * width), 1)):
        values, _ = _do_paste_mask(maps[part, None], boxes[part], height, width, skip_empty=False)
        images[part] = values >= threshold
    return images


def paste_rle(maps: Tensor, boxes: Tensor, height: int, width: int, threshold: float = 0.5) -> list[dict]:
    """Paste masks into their boxes as RLEs.

    Equal, bit for bit, to FCNMaskHead's pasting on the CPU and pycocotools' encoding of the image. Tensors on
    another device are copied to the CPU, where the work is done.

    Args:
        maps (Tensor): Mask probabilities of shape (n, h, w).
        boxes (Tensor): x1, y1, x2, y2 in pixels of the image, (n, 4); they may leave it.
        height (int): H, of the image.
        width (int): W, of the image.
        threshold (float): Pixels of at least this probability belong to the mask; above 0. Defaults to 0.5.

    Returns:
        list[dict]: n compressed COCO codes: ``size`` [H, W] and ``counts``.
    """
    boundaries: list[np.ndarray] = []
    for part in _boundaries(maps, boxes, height, width, threshold, by_column=True):
        boundaries += part
    return encode_boundaries(boundaries, height, width)


def paste_dense(maps: Tensor, boxes: Tensor, height: int, width: int, threshold: float = 0.5) -> Tensor:
    """Paste masks into their boxes as images: as ``paste_rle``, but returns (n, H, W), bool, on the CPU."""
    # numpy's zeros take no memory until they are written to
    images = np.zeros((len(boxes), height * width), bool)
    i = 0
    for part in _boundaries(maps, boxes, height, width, threshold, by_column=False):
        for boundaries in part:
            image, ends = images[i], boundaries.tolist()
            for on, off in zip(ends[::2], ends[1::2]):
                image[on:off] = True
            i += 1
    return torch.from_numpy(images.reshape(-1, height, width))


def _groups(sizes: np.ndarray, most: int) -> Iterator[slice]:
    """Cut a list into parts whose sizes sum to ``most`` at most; one that is larger is a part by itself."""
    sums = np.concatenate([[0], np.cumsum(sizes)])
    begin = 0
    while begin < len(sizes):
        end = max(begin + 1, int(np.searchsorted(sums, sums[begin] + most, side='right')) - 1)
        yield slice(begin, end)
        begin = end


def _boundaries(
    maps: Tensor, boxes: Tensor, height: int, width: int, threshold: float, by_column: bool
) -> Iterator[list[np.ndarray]]:
    """Find where masks go on, off, on, ... along the image's columns or rows, laid end to end.

    Yields, for each mask of a group, an even number of increasing positions: ``x * H + y`` if ``by_column``, else
    ``y * W + x``.
    """
    maps = maps.detach().to('cpu', torch.float32)
    x1, y1, x2, y2 = boxes.detach().to('cpu', torch.float32).numpy().T
    low, high, pixels = (x1, x2, width) if by_column else (y1, y2, height)
    knots = maps.shape[1 if by_column else 2] + 2
    for part in _groups(reach(low, high, pixels)[1] * knots, MAX_KNOTS):
        x = lay_out(x1[part], x2[part], width, maps.shape[2])
        y = lay_out(y1[part], y2[part], height, maps.shape[1])
        yield _boundaries_of_group(maps[part], x, y, (height, width), threshold, by_column)


def _boundaries_of_group(
    maps: Tensor, x: BoxAxis, y: BoxAxis, image: tuple[int, int], threshold: float, by_column: bool
) -> list[np.ndarray]:
    """As ``_boundaries``, for masks whose axes are known."""
    lines, along, length = (x, y, image[0]) if by_column else (y, x, image[1])
    if not (len(lines.pixel) and len(along.pixel)):
        return [np.zeros(0, np.int64)] * len(maps)
    grids = np.pad(maps.numpy(), ((0, 0), (1, 1), (1, 1)))
    table = np.ascontiguousarray(grids.transpose(0, 2, 1) if by_column else grids)
    at_knot = table.shape[1] * lines.owner + lines.knot
    table = table.reshape(-1, table.shape[2])
    # the value of every line at every knot along it: (lines, knots)
    values = table[at_knot + 1]
    values -= table[at_knot]
    values *= lines.share[:, None]
    values += table[at_knot]

    margin = _ROUNDING * sum(maps.shape[1:]) * float(maps.abs().amax().clamp(min=1))
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
    flips = list(_flips(maps, lines, along, origin, doubtful, inside, threshold, by_column))
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
    maps: Tensor,
    lines: BoxAxis,
    along: BoxAxis,
    origin: np.ndarray,
    doubtful: np.ndarray,
    inside: np.ndarray,
    threshold: float,
    by_column: bool,
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
        wrong = _sample(maps, owner[of], torch.from_numpy(grid), threshold) != inside[line[of], knot[of]]
        position = (origin[line[of]] + row)[wrong]
        yield from (position, position + 1)


def _sample(maps: Tensor, owner: np.ndarray, grid: Tensor, threshold: float) -> np.ndarray:
    """Whether the values of maps (n, h, w) at points (p, 2) of increasing owners (p,) reach the threshold, (p,)."""
    result = np.zeros(len(owner), bool)
    bounds = np.searchsorted(owner, np.arange(len(maps) + 1))
    for i in np.flatnonzero(np.diff(bounds)).tolist():
        points = slice(bounds[i], bounds[i + 1])
        sampled = F.grid_sample(maps[None, None, i], grid[None, None, points], align_corners=False)
        result[points] = (sampled >= threshold).flatten().numpy()
    return result
