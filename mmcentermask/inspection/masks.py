"""Checks the masks of objects: polygons, run lengths, and whether they are where the boxes are."""

import numpy as np
from pycocotools import mask as mask_api

from .entries import Objects
from .findings import Findings
from .polygons import Polygons, check_polygons, coordinates
from .run_lengths import rle_problem

__all__ = ['check_masks']

_LEAST_IOU = 0.5  # of an object's box with the box of its mask


def check_masks(annotations: list, objects: Objects, findings: Findings) -> None:
    """Check the masks of objects.

    Args:
        annotations (list): The file's ``annotations``.
        objects (Objects): Those whose entries can be used.
        findings (Findings): Added to.
    """
    polygons = Polygons([], [])
    covered = np.full((len(objects.index), 4), np.nan)
    for row, i in enumerate(objects.index.tolist()):
        form = annotations[i].get('segmentation')
        where = dict(image=int(objects.image[row]), annotation=i)
        height, width = objects.size[row].tolist()
        if isinstance(form, dict):
            problem = rle_problem(form, height, width)
            if problem:
                findings.add(*problem, **where)
            else:
                covered[row] = _box_of_rle(form, height, width)
        elif isinstance(form, list) and form:
            _sort_polygons(form, row, polygons, findings, where)
            if annotations[i].get('iscrowd'):
                findings.add('crowd-polygon', **where)
        else:
            detail = 'no segmentation' if form is None else 'segmentation is empty or of another type'
            findings.add('mask-missing', detail, **where)
    if polygons.points:
        bounds = check_polygons(polygons, objects.size, objects.image, objects.index, findings)
        covered = np.where(np.isnan(covered), bounds, covered)
    _compare(objects, covered, findings)


def _box_of_rle(form: dict, height: int, width: int) -> np.ndarray:
    """Return x1, y1, x2, y2 of a mask, NaN where it is empty."""
    rle = mask_api.frPyObjects(form, height, width) if isinstance(form['counts'], list) else form
    x, y, w, h = mask_api.toBbox(rle)
    return np.array([x, y, x + w, y + h]) if w and h else np.full(4, np.nan)


def _sort_polygons(form: list, row: int, polygons: Polygons, findings: Findings, where: dict) -> None:
    """Keep the polygons whose numbers can be used."""
    for number, part in enumerate(form):
        points = coordinates(part)
        which = f'part {number + 1} of {len(form)}'
        if points is None:
            findings.add('polygon-invalid', which, **where)
        elif len(points) < 3:
            findings.add('polygon-short', f'{which} has {len(points)}', **where)
        else:
            polygons.points.append(points)
            polygons.owner.append(row)


def _compare(objects: Objects, covered: np.ndarray, findings: Findings) -> None:
    """Find boxes that are not around their mask."""
    box = objects.box.copy()
    box[:, 2:] += box[:, :2]
    with np.errstate(invalid='ignore', divide='ignore'):
        inner = np.minimum(box[:, 2:], covered[:, 2:]) - np.maximum(box[:, :2], covered[:, :2])
        both = np.maximum(inner, 0).prod(1)
        areas = [np.maximum(b[:, 2:] - b[:, :2], 0).prod(1) for b in (box, covered)]
        iou = both / (areas[0] + areas[1] - both)
        large = (box[:, 2:] - box[:, :2] >= 2).all(1)  # of the smallest, half is a matter of rounding
    for row in np.flatnonzero(large & (iou < _LEAST_IOU)):
        findings.add(
            'box-mask-differ',
            f'{_corners(box[row])} of the box, {_corners(covered[row])} of the mask',
            image=int(objects.image[row]),
            annotation=int(objects.index[row]),
        )


def _corners(box: np.ndarray) -> str:
    x1, y1, x2, y2 = (f'{value:.4g}' for value in box)
    return f'({x1}, {y1}) to ({x2}, {y2})'
