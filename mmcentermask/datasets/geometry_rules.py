"""Applies the rules on the boxes and masks of a COCO file."""

from collections.abc import Iterator

import numpy as np

from .annotation_tables import CocoTables, Finding
from .values import found_in, is_flag, shown

__all__ = ['check_boxes', 'check_masks']

_OUTSIDE = 1.0  # pixels that a coordinate may lie out of the image, for those who round
_LEAST_IOU = 0.5  # of an object's box with the box of its mask


def _iou(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """IoU of boxes (N, 4) as x1, y1, x2, y2; NaN where there is none."""
    both = np.maximum(np.minimum(one[:, 2:], two[:, 2:]) - np.maximum(one[:, :2], two[:, :2]), 0).prod(1)
    areas = [np.maximum(box[:, 2:] - box[:, :2], 0).prod(1) for box in (one, two)]
    return both / (areas[0] + areas[1] - both)


def _beyond(t: CocoTables, corners: np.ndarray) -> np.ndarray:
    """(N,), how many pixels a box reaches out of its image; NaN where one of them is not known."""
    size = np.where(t.size > 0, t.size, np.nan)[:, ::-1]
    return np.maximum(-corners[:, :2], corners[:, 2:] - size).max(1)


def check_boxes(t: CocoTables) -> Iterator[Finding]:
    """Find boxes that cannot be used, are in another form, or do not fit the image or the mask."""
    corners = np.concatenate([t.box[:, :2], t.box[:, :2] + t.box[:, 2:]], axis=1)
    masks = t.masks.covered if t.split.masks else np.full_like(t.box, np.nan)
    beyond, overlap, known = _beyond(t, corners), _iou(corners, masks), ~np.isnan(t.box[:, 0])
    for row in np.flatnonzero(~known):
        if t.annotations[row]:  # else the whole entry is no object
            yield t.finding('box-invalid', row, found_in(t.annotations[row], 'bbox'))

    judged = known & ~np.isnan(masks[:, 0])
    as_corners = _iou(t.box, masks)
    better = judged & (as_corners > _LEAST_IOU) & (as_corners > overlap + 0.1)
    inside = (t.box[:, 2:] > t.box[:, :2]).all(1) & (_beyond(t, t.box) <= _OUTSIDE)
    guessed = ~judged & inside & (beyond > _OUTSIDE)
    # without masks, boxes that reach out of the image are a guess, which takes several and no mask that speaks against
    alone = not judged.any() and guessed.sum() > max(0.25 * len(t.box), 2)
    if better.sum() > 0.5 * max(judged.sum(), 1) or alone:
        rows = np.flatnonzero(better | guessed)
        box = shown(t.annotations[rows[0]]['bbox'])
        yield t.finding('box-corners', rows[0], f'that is how {len(rows)} of {len(t.box)} boxes fit, first {box}')

    for row in np.flatnonzero(beyond > _OUTSIDE):
        box = ', '.join(f'{value:.4g}' for value in t.box[row])
        height, width = t.size[row]
        yield t.finding('box-outside', row, f'by {beyond[row]:.4g} pixels: [{box}] in an image of {width} x {height}')
    for row in np.flatnonzero((t.box[:, 2:] < 1).any(1)):
        yield t.finding('box-small', row, f'{t.box[row, 2]:.4g} x {t.box[row, 3]:.4g}')
    large = (t.box[:, 2:] >= 2).all(1)  # of the smallest, half is a matter of rounding
    for row in np.flatnonzero(large & (overlap < _LEAST_IOU)):
        box, mask = ('({:.4g}, {:.4g}) to ({:.4g}, {:.4g})'.format(*both[row]) for both in (corners, masks))
        yield t.finding('box-mask-differ', row, f'{box} of the box, {mask} of the mask')


def check_masks(t: CocoTables) -> Iterator[Finding]:
    """Find masks that cannot be used, polygons of crowds, and those out of their image."""
    if not t.split.masks:
        return
    for rule, row, detail in t.masks.problems:
        if t.annotations[row]:
            yield t.finding(rule, row, detail)
    for row in np.flatnonzero(t.crowd & t.masks.usable):
        entry = t.annotations[row]
        if is_flag(entry['iscrowd']) and isinstance(entry['segmentation'], list):
            yield t.finding('crowd-polygon', row)
    beyond = _beyond(t, t.masks.covered)
    for row in np.flatnonzero(beyond > _OUTSIDE):
        height, width = t.size[row]
        yield t.finding('polygon-outside', row, f'by {beyond[row]:.4g} pixels, in an image of {width} x {height}')
