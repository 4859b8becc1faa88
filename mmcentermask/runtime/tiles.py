"""Tiles of a large image, and how what was found in each becomes the objects of the whole, by RLEs alone."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as mask_api

from ..structures import Instances, encode_crop
from ..structures.rle import decode_crop, rle_to_json

_SAME = 0.5  # overlap above which two masks are of one object


class Tile(NamedTuple):
    """A part of an image, x1..x2 and y1..y2 in its pixels, the ends excluded."""

    x1: int
    y1: int
    x2: int
    y2: int

    def shared_with(self, other: Tile) -> Tile | None:
        """Return what both have, None where that is nothing."""
        x1, y1, x2, y2 = max(self.x1, other.x1), max(self.y1, other.y1), min(self.x2, other.x2), min(self.y2, other.y2)
        return Tile(x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def make_tiles(height: int, width: int, side: int, overlap: int) -> list[Tile]:
    """Cover an image with square tiles, row by row, which are spread evenly.

    All numbers are pixels. An image that is less high or wide than ``side`` has lesser tiles; ``overlap`` is the least
    one of neighbours, and less than ``side``.

    >>> [tile.x1 for tile in make_tiles(100, 250, side=100, overlap=20)]
    [0, 75, 150]
    """
    rows, columns = _starts(height, side, overlap), _starts(width, side, overlap)
    return [Tile(x, y, min(x + side, width), min(y + side, height)) for y in rows for x in columns]


def _starts(length: int, side: int, overlap: int) -> list[int]:
    if length <= side:
        return [0]
    number = -(-(length - side) // (side - overlap)) + 1
    return np.linspace(0, length - side, number).round().astype(int).tolist()


def shift(found: Instances, tile: Tile, height: int, width: int) -> Instances:
    """Bring objects of a tile to the pixels of the image, whose size is ``height`` x ``width``."""
    corner = np.array([tile.x1, tile.y1, tile.x1, tile.y1], np.float32)
    crops = map(decode_crop, found.rle)
    codes = [encode_crop(crop, tile.x1 + x, tile.y1 + y, height, width) for crop, x, y in crops]
    return replace(found, boxes=found.boxes + corner, rle=rle_to_json(codes), height=height, width=width)


@dataclass(eq=False)
class _Piece:
    """What one tile shows of an object."""

    found: Instances  # of length 1, in the image's pixels
    box: np.ndarray  # of its mask, x1, y1, x2, y2
    cut: bool  # by a border of its tile that is none of the image

    @property
    def code(self) -> dict[str, Any]:
        return self.found.rle[0]

    @property
    def label(self) -> int:
        return int(self.found.labels[0])


def merge_tiles(tiles: list[Tile], found: list[Instances], coarse: Instances | None, overlap: int) -> Instances:
    """Make the objects of an image of those of its tiles.

    Where two tiles overlap, both show the same: masks of one class that agree there are of one object. One that a tile
    shows whole is taken from it; parts of one that every tile cuts are joined. What is larger than the overlap may be
    cut everywhere, so it is looked for in a reduced copy of the image, too: it is taken from there unless the tiles
    agree on it.

    ``found`` is what each tile shows and ``coarse`` what the reduced copy shows, if there is one. All are in pixels of
    the image, and so is ``overlap``. The best object comes first.
    """
    height, width = found[0].height, found[0].width
    pieces = [_pieces(instances, tile, height, width) for tile, instances in zip(tiles, found)]
    groups = {piece: [piece] for in_tile in pieces for piece in in_tile}
    covered = set()
    for (tile, ours), (other, theirs) in itertools.combinations(zip(tiles, pieces), 2):
        shared = tile.shared_with(other) if ours and theirs else None
        if shared is None:
            continue
        for first, second, drop in _matches(ours, theirs, shared, height, width):
            if drop is not None:
                covered.add(drop)
            elif groups[first] is not groups[second]:
                groups[first] += groups[second]
                for piece in groups[second]:
                    groups[piece] = groups[first]
    unique = {id(group): [piece for piece in group if piece not in covered] for group in groups.values()}
    objects = [_join(group) for group in unique.values() if group]
    if coarse is not None:
        objects = _with_coarse(objects, coarse, overlap)
    best = sorted((piece.found for piece in objects), key=lambda one: -one.scores[0]) or [found[0][:0]]
    names = ['boxes', 'labels', 'scores'] + ([] if found[0].mask_scores is None else ['mask_scores'])
    joined = {name: np.concatenate([getattr(one, name) for one in best]) for name in names}
    return replace(found[0], **joined, rle=[code for one in best for code in one.rle], segment_ids=None)


def _pieces(found: Instances, tile: Tile, height: int, width: int) -> list[_Piece]:
    if not len(found):
        return []
    boxes = _extents(found.rle)
    # the side of a tile cuts what reaches it, unless it is the image's own
    reach = [boxes[:, 0] <= tile.x1, boxes[:, 1] <= tile.y1, boxes[:, 2] >= tile.x2, boxes[:, 3] >= tile.y2]
    inner = [tile.x1 > 0, tile.y1 > 0, tile.x2 < width, tile.y2 < height]
    cut = np.logical_and(np.stack(reach, axis=1), inner).any(axis=1)
    kept = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))  # others have no pixel
    return [_Piece(found[i], boxes[i], bool(cut[i])) for i in kept]


def _extents(codes: list[dict[str, Any]]) -> np.ndarray:
    """Return x1, y1, x2, y2 of masks, (n, 4)."""
    boxes = mask_api.toBbox(codes).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _matches(
    ours: list[_Piece], theirs: list[_Piece], shared: Tile, height: int, width: int
) -> list[tuple[_Piece, _Piece, _Piece | None]]:
    """Return pairs of pieces that are of one object where two tiles overlap, and which of them is to be dropped."""
    region = encode_crop(np.ones((shared.y2 - shared.y1, shared.x2 - shared.x1), bool), *shared[:2], height, width)

    def inside(piece: _Piece) -> dict[str, Any]:
        return mask_api.merge([piece.code, region], intersect=True)

    ours, theirs = (
        [(piece, inside(piece)) for piece in side if _boxes_meet(piece.box, shared)] for side in (ours, theirs)
    )
    pairs = []
    for (first, a), (second, b) in itertools.product(ours, theirs):
        if not _boxes_meet(first.box, second.box):
            continue
        both, area_a, area_b = _areas(a, b)
        least = min(area_a, area_b)
        if not both:
            continue
        if first.label == second.label:
            # a part lies in the whole; of two wholes most of both must agree
            whole = area_a + area_b - both
            if both / (least if first.cut or second.cut else whole) >= _SAME:
                pairs.append((both, first, second, None))
        elif first.cut != second.cut and both / (area_a if first.cut else area_b) >= _SAME:
            pairs.append((both, first, second, first if first.cut else second))  # a part, taken for something else
    matches, taken = [], set()
    for _, first, second, drop in sorted(pairs, key=lambda pair: -pair[0]):
        if drop is not None:
            matches.append((first, second, drop))
        elif not taken & {first, second}:  # a tile shows an object once
            taken |= {first, second}
            matches.append((first, second, None))
    return matches


def _boxes_meet(a: np.ndarray, b: np.ndarray) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _areas(a: dict[str, Any], b: dict[str, Any]) -> tuple[float, float, float]:
    """Return the number of pixels of both, of a and of b."""
    both = mask_api.merge([a, b], intersect=True)
    return tuple(float(value) for value in mask_api.area([both, a, b]))


def _join(group: list[_Piece]) -> _Piece:
    """Make one object of what several tiles show of it."""
    best = max(group, key=lambda piece: (not piece.cut, piece.found.scores[0]))
    if not best.cut or len(group) == 1:
        return best
    boxes = np.stack([piece.found.boxes[0] for piece in group])
    box = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    code = mask_api.merge([piece.code for piece in group])
    return _Piece(replace(best.found, boxes=box[None], rle=rle_to_json([code])), _extents([code])[0], True)


def _with_coarse(objects: list[_Piece], coarse: Instances, overlap: int) -> list[_Piece]:
    """Add what a reduced copy of the image shows of large objects, and drop the parts that tiles show of them."""
    sides = (coarse.boxes[:, 2:] - coarse.boxes[:, :2]).max(axis=1, initial=0)
    for piece in _pieces(coarse[sides > overlap], Tile(0, 0, coarse.width, coarse.height), coarse.height, coarse.width):
        parts = []
        for other in objects:
            if other.label != piece.label or not _boxes_meet(other.box, piece.box):
                continue
            both, area, own = _areas(other.code, piece.code)
            if both / (area + own - both) >= _SAME:
                break  # the tiles show it, and finer
            if other.cut and both / area >= _SAME:
                parts.append(other)
        else:
            objects = [other for other in objects if other not in parts] + [piece]
    return objects
