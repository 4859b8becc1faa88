"""Checks polygons, many at a time."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import shapely

from .entries import LARGEST, OUTSIDE
from .findings import Findings

__all__ = ['Polygons', 'check_polygons', 'coordinates']

_CHUNK = 50000  # polygons at a time, which bounds the memory


class Polygons(NamedTuple):
    """The polygons of a data set whose numbers can be used; P of them."""

    points: list[np.ndarray]  # P arrays (K, 2), K >= 3
    owner: list[int]  # P rows of the table of objects


def coordinates(part: object) -> np.ndarray | None:
    """Return the points of a polygon, (K, 2), or None where it is not a list of pairs of finite numbers."""
    if not isinstance(part, list) or len(part) % 2 or not part:
        return None
    try:
        flat = np.array(part)
    except ValueError:  # lists of different lengths
        return None
    if flat.ndim != 1 or flat.dtype.kind not in 'iuf':
        return None
    with np.errstate(invalid='ignore'):
        if not (np.abs(flat.astype(np.float64)) < LARGEST).all():
            return None
    return flat.astype(np.float64).reshape(-1, 2)


def check_polygons(
    polygons: Polygons, size: np.ndarray, image: np.ndarray, annotation: np.ndarray, findings: Findings
) -> np.ndarray:
    """Check that polygons are inside of their images, cover something and do not cross themselves.

    A polygon that only touches itself is one whose filling nobody can doubt, so it is no finding.

    Args:
        polygons (Polygons): The polygons.
        size (ndarray): (N, 2), height and width of each object's image.
        image (ndarray): (N,), its position.
        annotation (ndarray): (N,), the object's position.
        findings (Findings): Added to.

    Returns:
        ndarray: (N, 4), x1, y1, x2, y2 of what an object's polygons cover; NaN where it has none.
    """
    bounds = np.full((len(size), 4), np.nan)
    for start in range(0, len(polygons.points), _CHUNK):
        points = polygons.points[start : start + _CHUNK]
        owner = np.array(polygons.owner[start : start + _CHUNK])
        covered = _check_chunk(points, owner, size, image, annotation, findings)
        np.fmin.at(bounds[:, :2], owner, covered[:, :2])
        np.fmax.at(bounds[:, 2:], owner, covered[:, 2:])
    return bounds


def _check_chunk(
    points: Sequence[np.ndarray],
    owner: np.ndarray,
    size: np.ndarray,
    image: np.ndarray,
    annotation: np.ndarray,
    findings: Findings,
) -> np.ndarray:
    """Check some polygons; return what each covers."""
    ring = np.repeat(np.arange(len(points)), [len(p) for p in points])
    shapes = shapely.polygons(shapely.linearrings(np.concatenate(points), indices=ring))
    covered = shapely.bounds(shapes)
    beyond = np.maximum(-covered[:, :2], covered[:, 2:] - size[owner][:, ::-1]).max(1)
    for i in np.flatnonzero(beyond > OUTSIDE):
        height, width = size[owner[i]]
        detail = f'by {beyond[i]:.4g} pixels, in an image of {width} x {height}'
        _add('polygon-outside', detail, owner[i], image, annotation, findings)
    flat = shapely.area(shapes) == 0
    # a polygon that doubles back on itself can have no signed area, and is still one that crosses itself
    for i in np.flatnonzero(~shapely.is_valid(shapes)):
        reason = shapely.is_valid_reason(shapes[i])
        if reason.startswith('Self-intersection') and not (flat[i] and _is_line(points[i])):
            flat[i] = False
            x, y = (float(value) for value in reason[len('Self-intersection[') : -1].split())
            _add('polygon-crossing', f'at [{x:.1f}, {y:.1f}]', owner[i], image, annotation, findings)
    for i in np.flatnonzero(flat):
        _add('polygon-flat', f'{len(points[i])} points', owner[i], image, annotation, findings)
    return covered


def _is_line(points: np.ndarray) -> bool:
    """Whether all points are on one line."""
    return np.linalg.matrix_rank(points - points[0], tol=1e-6) < 2


def _add(kind: str, detail: str, row: int, image: np.ndarray, annotation: np.ndarray, findings: Findings) -> None:
    findings.add(kind, detail, image=int(image[row]), annotation=int(annotation[row]))
