"""Draws an object of a COCO file into a picture, whatever is wrong with it."""

import re
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from pycocotools import mask as mask_api

from .entries import usable_box
from .findings import Finding
from .polygons import coordinates
from .run_lengths import rle_problem

__all__ = ['DARK', 'color_of', 'draw_object', 'reach_of']

DARK = '#1d1d1d'
_ERROR, _WARNING = '#e3242b', '#ff9d00'
_OUTLINED = [Stroke(linewidth=3.2, foreground=(0, 0, 0, 0.55)), Normal()]  # to be seen on any picture
_CROSSING = re.compile(r'at \[(-?[\d.]+), (-?[\d.]+)\]')


def color_of(findings: Sequence[Finding]) -> str:
    """Return red where there is an error, else orange.

    Args:
        findings (Sequence[Finding]): Of one object.

    Returns:
        str: A color of matplotlib.
    """
    return _ERROR if any(finding.error for finding in findings) else _WARNING


def _outlines(annotation: dict, shape: tuple[int, int]) -> list[np.ndarray]:
    """Return the outlines of a mask, (K, 2) each; of run lengths only where they fit the picture."""
    form = annotation.get('segmentation')
    if isinstance(form, list):
        return [points for points in map(coordinates, form) if points is not None]
    if not isinstance(form, dict) or rle_problem(form, *shape):
        return []
    rle = mask_api.frPyObjects(form, *shape) if isinstance(form['counts'], list) else form
    contours, _ = cv2.findContours(mask_api.decode(rle), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [contour[:, 0].astype(np.float64) + 0.5 for contour in contours]


def reach_of(annotation: dict) -> tuple[float, float, float, float] | None:
    """Return how far an object's box and polygons reach: x1, y1, x2, y2.

    Args:
        annotation (dict): An entry of ``annotations``.

    Returns:
        tuple or None: None where it has neither.
    """
    form, box = annotation.get('segmentation'), annotation.get('bbox')
    corners = [points for points in map(coordinates, form if isinstance(form, list) else ()) if points is not None]
    if usable_box(box):
        corners.append(np.array([box[:2], [box[0] + box[2], box[1] + box[3]]], np.float64))
    if not corners:
        return None
    points = np.concatenate(corners)
    return (*points.min(0).tolist(), *points.max(0).tolist())


def draw_object(
    axis: Axes,
    annotation: dict,
    findings: Sequence[Finding],
    number: int,
    shape: tuple[int, int],
    view: tuple[float, float, float, float],
) -> None:
    """Draw an object: its box dashed, its outline, a ring where it crosses itself, and its number.

    Args:
        axis (Axes): Where to; its coordinates are pixels of the image.
        annotation (dict): An entry of ``annotations``.
        findings (Sequence[Finding]): What is wrong with it.
        number (int): What to call it.
        shape (tuple[int, int]): Height and width of the image.
        view (tuple): x1, y1, x2, y2 of what can be seen.
    """
    color = color_of(findings)
    # far outside, numbers are too large to be drawn
    spread = max(view[2] - view[0], view[3] - view[1])
    low, high = np.array(view[:2]) - spread, np.array(view[2:]) + spread
    for points in _outlines(annotation, shape):
        x, y = np.clip([*points, points[0]], low, high).T
        axis.plot(x, y, color=color, lw=1.4, marker='o' if len(points) < 3 else '', path_effects=_OUTLINED)
    box = annotation.get('bbox')
    if usable_box(box):
        (x1, y1), (x2, y2) = np.clip([box[:2], [box[0] + box[2], box[1] + box[3]]], low, high)
        axis.add_patch(
            Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec=color, lw=1.2, ls=(0, (4, 3)), path_effects=_OUTLINED)
        )
    for finding in findings:
        if finding.kind == 'polygon-crossing' and (at := _CROSSING.search(finding.detail)):
            x, y = np.clip([float(at[1]), float(at[2])], low, high)
            axis.plot(x, y, 'o', ms=11, mfc='none', mec=color, mew=1.8, path_effects=_OUTLINED)
    reach = reach_of(annotation)
    if reach is not None:
        margin = spread * 0.02
        x = np.clip(reach[0], view[0] + margin, view[2] - margin)
        y = np.clip(reach[1], view[1] + margin, view[3] - margin)
        badge = dict(boxstyle='round,pad=0.2', fc=color, ec='white', lw=0.6)
        axis.text(x, y, str(number), color='white', fontsize=8, weight='bold', ha='center', va='center', bbox=badge)
