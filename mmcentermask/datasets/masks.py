"""Reads the masks of a COCO file, whatever stands in them; pycocotools, which trusts RLEs, gets only checked ones."""

from collections.abc import Iterator
from itertools import chain

import numpy as np
from pycocotools import mask as mask_api

from ..structures.rle import counts_of
from .values import LARGEST, found_in, shown

__all__ = ['Masks', 'rle_problem']

_NUMBERS = {int, float}
_CHUNK = 50000  # polygons at a time, which bounds the memory
_DECODED = 20000  # compressed RLEs that a cheap check decodes


class Masks:
    """The masks of N objects.

    Args:
        entries (list): N entries of a COCO file.
        size (ndarray): (N, 2), height and width of each object's image; 0 where that is not known.
        dear (bool): Whether to look at the geometry of polygons, and to decode all RLEs, where there are many.

    Attributes:
        problems: Name of a rule, number of the object and what was found.
        usable: (N,), whether the pipeline can make a mask of it.
        covered: (N, 4), x1, y1, x2, y2 of what the mask covers; NaN where that is not known.
    """

    def __init__(self, entries: list[dict], size: np.ndarray, dear: bool) -> None:
        self.problems: list[tuple[str, int, str]] = []
        self.usable = np.zeros(len(entries), bool)
        self.covered = np.full((len(entries), 4), np.nan)
        self._polygons: list[list[float]] = []
        self._owner: list[int] = []  # the object of each
        rles = []
        for row, entry in enumerate(entries):
            form = entry.get('segmentation')
            if type(form) is dict:
                rles.append((form, row))
            elif type(form) is list and form:
                self._sort_polygons(form, row)
            else:
                self.problems.append(('mask-missing', row, found_in(entry, 'segmentation')))
        self._measure_polygons()
        if dear:
            self._check_geometry()
        self._measure_rles(rles, size, 1 if dear else max(1, len(rles) // _DECODED))

    def _sort_polygons(self, form: list, row: int) -> None:
        for number, part in enumerate(form, 1):
            which = f'part {number} of {len(form)}'
            if type(part) is not list or len(part) % 2 or not _NUMBERS.issuperset(map(type, part)):
                self.problems.append(('polygon-invalid', row, f'{which} is {shown(part)}'))
                break
            if len(part) < 6:
                self.problems.append(('polygon-short', row, f'{which} has {len(part) // 2}'))
            else:
                self._polygons.append(part)
                self._owner.append(row)

    def _chunks(self) -> Iterator[tuple[list[list[float]], np.ndarray, np.ndarray, np.ndarray]]:
        """Yield some polygons at a time: themselves, their objects, all points, (p, 2), and the first one of each."""
        for start in range(0, len(self._polygons), _CHUNK):
            polygons, owner = self._polygons[start : start + _CHUNK], self._owner[start : start + _CHUNK]
            try:
                numbers = np.fromiter(chain.from_iterable(polygons), np.float64)
            except OverflowError:  # of a whole number with hundreds of digits
                numbers = np.array([max(min(value, 1e300), -1e300) for value in chain.from_iterable(polygons)])
            begin = np.cumsum([0, *(len(polygon) // 2 for polygon in polygons[:-1])])
            yield polygons, np.array(owner), numbers.reshape(-1, 2), begin

    def _measure_polygons(self) -> None:
        """Find what polygons cover; those with numbers beyond all bounds are taken out."""
        kept, owners = [], []
        for polygons, owner, points, begin in self._chunks():
            low, high = np.minimum.reduceat(points, begin), np.maximum.reduceat(points, begin)
            right = ((np.abs(low) < LARGEST) & (np.abs(high) < LARGEST)).all(1)
            np.fmin.at(self.covered[:, :2], owner[right], low[right])
            np.fmax.at(self.covered[:, 2:], owner[right], high[right])
            for row in owner[~right].tolist():
                self.problems.append(('polygon-invalid', row, 'a number is not finite or beyond 1e9'))
            kept += [polygon for polygon, finite in zip(polygons, right) if finite]
            owners += owner[right].tolist()
        self._polygons, self._owner = kept, owners
        self.usable[owners] = True

    def _measure_rles(self, rles: list[tuple[dict, int]], size: np.ndarray, step: int) -> None:
        """Check RLEs, and find what they cover; of the compressed ones, decode one in ``step``."""
        for number, (form, row) in enumerate(rles):
            height, width = size[row].tolist()
            if not height:
                continue
            problem = rle_problem(form, height, width, decode=number % step == 0)
            if problem:
                self.problems.append((problem[0], row, problem[1]))
                continue
            self.usable[row] = True
            if number % step == 0:
                rle = mask_api.frPyObjects(form, height, width) if isinstance(form['counts'], list) else form
                x, y, w, h = mask_api.toBbox(rle)
                if w and h:
                    self.covered[row] = x, y, x + w, y + h
                else:
                    self.usable[row] = False
                    self.problems.append(('mask-missing', row, 'the RLE covers no pixel'))

    def _check_geometry(self) -> None:
        """Find polygons that cross themselves or cover nothing.

        One that only touches itself is neither: nobody can doubt its filling.
        """
        import shapely  # nothing else needs it

        for polygons, owner, points, begin in self._chunks():
            ring = np.repeat(np.arange(len(polygons)), np.diff([*begin, len(points)]))
            shapes = shapely.polygons(shapely.linearrings(points, indices=ring))
            empty = shapely.area(shapes) == 0
            # a polygon that doubles back on itself can have no signed area, and is still one that crosses itself
            for i in np.flatnonzero(~shapely.is_valid(shapes)):
                reason = shapely.is_valid_reason(shapes[i])
                if reason.startswith('Self-intersection') and not (empty[i] and _is_line(polygons[i])):
                    empty[i] = False
                    x, y = (float(value) for value in reason[len('Self-intersection[') : -1].split())
                    self.problems.append(('polygon-crossing', int(owner[i]), f'at [{x:.1f}, {y:.1f}]'))
            for i in np.flatnonzero(empty):
                self.problems.append(('polygon-flat', int(owner[i]), f'{len(polygons[i]) // 2} points'))


def _is_line(polygon: list[float]) -> bool:
    points = np.array(polygon, np.float64).reshape(-1, 2)
    return np.linalg.matrix_rank(points - points[0], tol=1e-6) < 2


def rle_problem(form: dict, height: int, width: int, decode: bool = True) -> tuple[str, str] | None:
    """Say what is wrong with a ``segmentation`` of ``size`` and ``counts``, in an image of that height and width.

    Returns the name of the rule and what was found, None where nothing is wrong. Compressed counts are looked into only
    with ``decode``.
    """
    size, counts = form.get('size'), form.get('counts')
    if not isinstance(size, list) or len(size) != 2 or any(type(side) is not int for side in size):
        return 'rle-invalid', f'size is {shown(size)} and not [height, width], two whole numbers'
    if size != [height, width]:
        h, w = (side if abs(side) < 1e9 else 'huge' for side in size)
        turned = ', height and width swapped' if size == [width, height] else ''
        return 'rle-size', f'{h} high and {w} wide, in an image {height} high and {width} wide{turned}'
    if isinstance(counts, str):
        if counts[:2] in ("b'", 'b"'):
            return 'rle-invalid', f'counts is {shown(counts)}, the text of a Python bytes object: write counts.decode()'
        if not decode:
            return None
        runs = counts_of(counts)
    elif isinstance(counts, list) and all(type(run) is int and abs(run) < 2**32 for run in counts):
        runs = np.array(counts, np.int64)
    else:
        return 'rle-invalid', f'counts is {shown(counts)}, neither a string nor a list of whole numbers'
    if runs is None:
        return 'rle-invalid', f'counts is {shown(counts)}, which ends inside a number or holds other characters'
    if (runs < 0).any():
        return 'rle-invalid', 'a count is negative'
    if (runs > height * width).any():  # enough of them have any sum, since it is taken in 64 bits
        return 'rle-invalid', f'a count of {runs.max()} pixels, in an image of {height * width}'
    if runs.sum() != height * width:
        return 'rle-invalid', f'counts of {runs.sum()} pixels in all, in an image of {height * width}'
    return None
