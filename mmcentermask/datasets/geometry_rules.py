"""Rules on the boxes and masks of a COCO file."""

import numpy as np

from .annotation_tables import CocoTables
from .rules import at_object, rule
from .values import found_in, is_flag, shown

_OUTSIDE = 1.0  # pixels that a coordinate may lie out of the image, for those who round
_LEAST_IOU = 0.5  # of an object's box with the box of its mask


@rule('box-invalid', 'error', 'box is not [x, y, width, height]', 'give four finite numbers, sizes not negative')
def _(t):
    for row in np.flatnonzero(np.isnan(t.box[:, 0])):
        if t.annotations[row]:  # else the whole entry is no object
            yield at_object(t, row, found_in(t.annotations[row], 'bbox'))


def _iou(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """IoU of boxes (N, 4) as x1, y1, x2, y2; NaN where there is none."""
    with np.errstate(invalid='ignore', divide='ignore'):
        both = np.maximum(np.minimum(one[:, 2:], two[:, 2:]) - np.maximum(one[:, :2], two[:, :2]), 0).prod(1)
        areas = [np.maximum(box[:, 2:] - box[:, :2], 0).prod(1) for box in (one, two)]
        return both / (areas[0] + areas[1] - both)


def _corners(t: CocoTables) -> np.ndarray:
    """(N, 4), x1, y1, x2, y2 of the boxes."""
    return np.concatenate([t.box[:, :2], t.box[:, :2] + t.box[:, 2:]], axis=1)


def _beyond(t: CocoTables, corners: np.ndarray) -> np.ndarray:
    """(N,), how many pixels a box reaches out of its image; NaN where one of them is not known."""
    size = np.where(t.size > 0, t.size, np.nan)[:, ::-1]
    return np.maximum(-corners[:, :2], corners[:, 2:] - size).max(1)


@rule('box-corners', 'error', 'boxes are [x1, y1, x2, y2]', 'write [x, y, width, height], as COCO does')
def _(t):
    masks = t.masks.covered if t.split.masks else np.full_like(t.box, np.nan)
    judged = ~np.isnan(masks[:, 0]) & ~np.isnan(t.box[:, 0])
    as_corners = _iou(t.box, masks)
    with np.errstate(invalid='ignore'):
        better = judged & (as_corners > _LEAST_IOU) & (as_corners > _iou(_corners(t), masks) + 0.1)
        inside = (t.box[:, 2:] > t.box[:, :2]).all(1) & (_beyond(t, t.box) <= _OUTSIDE)
        guessed = ~judged & inside & (_beyond(t, _corners(t)) > _OUTSIDE)
    # without masks, boxes that reach out of the image are a guess, which takes several and no mask that speaks against
    alone = not judged.any() and guessed.sum() > max(0.25 * len(t.box), 2)
    if better.sum() > 0.5 * max(judged.sum(), 1) or alone:
        rows = np.flatnonzero(better | guessed)
        yield at_object(
            t,
            rows[0],
            f'that is how {len(rows)} of {len(t.box)} boxes fit, first {shown(t.annotations[rows[0]]["bbox"])}',
        )


@rule('box-outside', 'warning', 'box reaches out of the image', 'cut it at the border; it is [x, y, width, height]')
def _(t):
    beyond = _beyond(t, _corners(t))
    with np.errstate(invalid='ignore'):
        rows = np.flatnonzero(beyond > _OUTSIDE)
    for row in rows:
        box = ', '.join(f'{value:.4g}' for value in t.box[row])
        height, width = t.size[row]
        yield at_object(t, row, f'by {beyond[row]:.4g} pixels: [{box}] in an image of {width} x {height}')


@rule('box-small', 'warning', 'box is less than a pixel wide or high, so training leaves it out', 'take it out')
def _(t):
    with np.errstate(invalid='ignore'):
        rows = np.flatnonzero((t.box[:, 2:] < 1).any(1))
    for row in rows:
        yield at_object(t, row, f'{t.box[row, 2]:.4g} x {t.box[row, 3]:.4g}')


@rule('box-mask-differ', 'warning', 'box and mask are not of the same place', 'compute the box from the mask')
def _(t):
    if t.split.masks:
        corners = _corners(t)
        with np.errstate(invalid='ignore'):
            large = (t.box[:, 2:] >= 2).all(1)  # of the smallest, half is a matter of rounding
            rows = np.flatnonzero(large & (_iou(corners, t.masks.covered) < _LEAST_IOU))
        for row in rows:
            box, mask = ('({:.4g}, {:.4g}) to ({:.4g}, {:.4g})'.format(*b[row]) for b in (corners, t.masks.covered))
            yield at_object(t, row, f'{box} of the box, {mask} of the mask')


def _mask_rule(name: str, severity: str, text: str, hint: str) -> None:
    @rule(name, severity, text, hint)
    def _(t):
        if t.split.masks:
            for found, row, detail in t.masks.problems:
                if found == name and t.annotations[row]:
                    yield at_object(t, row, detail)


_mask_rule('mask-missing', 'masks_needed', 'object has no mask', 'give a polygon or an RLE')
_mask_rule(
    'polygon-invalid',
    'error',
    'polygon is not [x1, y1, x2, y2, ...]',
    'give pairs of finite numbers, in a list of polygons',
)
_mask_rule('polygon-short', 'masks_scored', 'polygon has fewer than 3 points', 'take it out, or draw it anew')
_mask_rule('rle-size', 'error', 'RLE is for another image size', 'encode the mask at the size of its image')
_mask_rule(
    'rle-invalid', 'error', 'RLE cannot be decoded', 'encode the mask anew, with counts as text or a list of numbers'
)


@rule('crowd-polygon', 'warning', 'crowd is a polygon, where COCO has an RLE', 'encode it, or make it no crowd')
def _(t):
    for row in np.flatnonzero(t.crowd) if t.split.masks else ():
        entry = t.annotations[row]
        if is_flag(entry['iscrowd']) and isinstance(entry.get('segmentation'), list) and t.masks.usable[row]:
            yield at_object(t, row)


@rule('polygon-outside', 'warning', 'polygon reaches out of the image', 'cut it at the border')
def _(t):
    if t.split.masks:
        beyond = _beyond(t, t.masks.covered)
        with np.errstate(invalid='ignore'):
            rows = np.flatnonzero(beyond > _OUTSIDE)
        for row in rows:
            height, width = t.size[row]
            yield at_object(t, row, f'by {beyond[row]:.4g} pixels, in an image of {width} x {height}')


@rule(
    'polygon-crossing',
    'warning',
    'polygon crosses itself',
    'draw it anew, or leave it: it is filled even-odd',
    dear=True,
)
def _(t):
    if t.split.masks:
        yield from (at_object(t, row, detail) for name, row, detail in t.masks.geometry if name == 'polygon-crossing')


@rule('polygon-flat', 'warning', 'polygon has no area', 'take it out', dear=True)
def _(t):
    if t.split.masks:
        yield from (at_object(t, row, detail) for name, row, detail in t.masks.geometry if name == 'polygon-flat')
