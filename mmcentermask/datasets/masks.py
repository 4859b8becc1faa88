"""Reads the masks of a COCO file, whatever stands in them; pycocotools, which trusts RLEs, gets only checked ones."""

from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from pycocotools import mask as mask_api

from ..structures.rle import counts_of
from .values import LARGEST, shown

__all__ = ['NOTHING', 'Masks', 'rle_problem']

NOTHING = object()  # in the place of a value that is not there

_NUMBERS = {int, float}
_CHUNK = 50000  # polygons at a time, which bounds the memory
_DECODED = 20000  # compressed RLEs that a cheap check decodes


class Masks:
    """The masks of N objects, P polygons among them.

    Args:
        forms (list): N values of ``segmentation``, ``NOTHING`` where there is none.
        size (ndarray): (N, 2), height and width of each object's image; 0 where that is not known.
        dear (bool): Whether to decode all RLEs, where there are many. Defaults to True.

    Attributes:
        problems: Name of a rule, number of the object and what was found.
        usable: (N,), whether the pipeline can make a mask of it.
        covered: (N, 4), x1, y1, x2, y2 of what the mask covers; NaN where that is not known.
        polygons: P lists of x1, y1, x2, y2, ...
        owner: (P,), the object of each.
    """

    def __init__(self, forms: list[Any], size: np.ndarray, dear: bool = True) -> None:
        self.problems: list[tuple[str, int, str]] = []
        self.usable = np.zeros(len(forms), bool)
        self.covered = np.full((len(forms), 4), np.nan)
        self.polygons: list[list[float]] = []
        owner, rles = [], []
        for row, form in enumerate(forms):
            if type(form) is dict:
                rles.append(row)
            elif type(form) is list and form:
                self._sort_polygons(form, row, owner)
            else:
                found = 'no segmentation' if form is NOTHING else f'segmentation is {shown(form)}'
                self.problems.append(('mask-missing', row, found))
        self.owner = np.array(owner, np.int64)
        self._measure_polygons()
        self._measure_rles(forms, rles, size, 1 if dear else max(1, len(rles) // _DECODED))

    def _sort_polygons(self, form: list, row: int, owner: list[int]) -> None:
        for number, part in enumerate(form, 1):
            which = f'part {number} of {len(form)}'
            if type(part) is not list or len(part) % 2 or not _NUMBERS.issuperset(map(type, part)):
                self.problems.append(('polygon-invalid', row, f'{which} is {shown(part)}'))
                break
            if len(part) < 6:
                self.problems.append(('polygon-short', row, f'{which} has {len(part) // 2}'))
            else:
                self.polygons.append(part)
                owner.append(row)

    def _measure_polygons(self) -> None:
        """Find what polygons cover; those with numbers beyond all bounds are taken out."""
        finite = np.zeros(len(self.polygons), bool)
        for start in range(0, len(self.polygons), _CHUNK):
            parts, owner = self.polygons[start : start + _CHUNK], self.owner[start : start + _CHUNK]
            flat, begin = _flattened(parts)
            corners = [f.reduceat(flat[axis::2], begin) for f in (np.minimum, np.maximum) for axis in (0, 1)]
            bounds = np.stack(corners, axis=1)
            right = (np.abs(bounds) < LARGEST).all(1)
            finite[start : start + _CHUNK] = right
            np.fmin.at(self.covered[:, :2], owner[right], bounds[right, :2])
            np.fmax.at(self.covered[:, 2:], owner[right], bounds[right, 2:])
        for i in np.flatnonzero(~finite):
            self.problems.append(('polygon-invalid', int(self.owner[i]), 'a number is not finite or beyond 1e9'))
        self.polygons = [part for part, right in zip(self.polygons, finite) if right]
        self.owner = self.owner[finite]
        self.usable[self.owner] = True

    def _measure_rles(self, forms: list[Any], rows: list[int], size: np.ndarray, step: int) -> None:
        """Check RLEs, and find what they cover; of the compressed ones, decode one in ``step``."""
        for number, row in enumerate(rows):
            form, (height, width) = forms[row], size[row].tolist()
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

    @cached_property
    def geometry(self) -> list[tuple[str, int, str]]:
        """Rule, object and detail of polygons that cross themselves or cover nothing.

        One that only touches itself is neither: nobody can doubt its filling.
        """
        import shapely  # only the dear rules need it

        found = []
        for start in range(0, len(self.polygons), _CHUNK):
            parts, owner = self.polygons[start : start + _CHUNK], self.owner[start : start + _CHUNK]
            flat, begin = _flattened(parts)
            ring = np.repeat(np.arange(len(parts)), np.diff([*begin, len(flat) // 2]))
            shapes = shapely.polygons(shapely.linearrings(flat.reshape(-1, 2), indices=ring))
            empty = shapely.area(shapes) == 0
            # a polygon that doubles back on itself can have no signed area, and is still one that crosses itself
            for i in np.flatnonzero(~shapely.is_valid(shapes)):
                reason = shapely.is_valid_reason(shapes[i])
                if reason.startswith('Self-intersection') and not (empty[i] and _is_line(parts[i])):
                    empty[i] = False
                    x, y = (float(value) for value in reason[len('Self-intersection[') : -1].split())
                    found.append(('polygon-crossing', int(owner[i]), f'at [{x:.1f}, {y:.1f}]'))
            found += [('polygon-flat', int(owner[i]), f'{len(parts[i]) // 2} points') for i in np.flatnonzero(empty)]
        return found


def _flattened(parts: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return all numbers of polygons, and the number of the first point of each."""
    try:
        flat = np.fromiter(chain.from_iterable(parts), np.float64)
    except OverflowError:  # of a whole number with hundreds of digits
        flat = np.array([max(min(value, 1e300), -1e300) for value in chain.from_iterable(parts)])
    return flat, np.cumsum([0, *(len(part) // 2 for part in parts[:-1])])


def _is_line(polygon: list[float]) -> bool:
    points = np.array(polygon, np.float64).reshape(-1, 2)
    return np.linalg.matrix_rank(points - points[0], tol=1e-6) < 2


def rle_problem(form: dict, height: int, width: int, decode: bool = True) -> tuple[str, str] | None:
    """Say what is wrong with an RLE.

    Args:
        form (dict): A ``segmentation`` with ``size`` and ``counts``.
        height (int): Of the image.
        width (int): Of the image.
        decode (bool): Whether to decode compressed counts, too. Defaults to True.

    Returns:
        tuple or None: Name of the rule and what was found; None where nothing is wrong.
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
