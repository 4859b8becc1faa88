"""Draws the worst images of a dataset with what is wrong in them."""

import itertools
import os
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from pycocotools import mask as mask_api

from ..datasets.annotation_tables import CocoTables, Finding
from ..datasets.inspection import Inspection
from ..datasets.masks import rle_problem
from ..datasets.rules import RULES
from ..datasets.values import is_number, printable, shown
from .charts import png_of

_DARK, _ERROR, _WARNING = '#1d1d1d', '#e3242b', '#ff9d00'
_OUTLINED = [Stroke(linewidth=3.2, foreground=(0, 0, 0, 0.55)), Normal()]  # to be seen on any image
_CROSSING = re.compile(r'at \[(-?[\d.]+), (-?[\d.]+)\]')
_IMAGES, _COLUMNS = 12, 4  # of a sheet
_LINES, _CHARACTERS = 6, 66  # of words below an image
_LONGEST = 640  # pixels of an image's long side; a sheet needs no more
_OBJECTS = 30  # objects to draw in an image
_UNREADABLE = ('image-entry', 'image-missing', 'image-damaged')
_NOT_DRAWN = (*_UNREADABLE, 'image-file-twice', 'image-elsewhere')

Named = tuple[str, Finding]  # a rule and what it found


def draw_worst(inspections: Sequence[Inspection]) -> bytes | None:
    """Draw the worst images, 12 at most: what is wrong in red (errors) or orange (warnings), with words below.

    The image with the most findings of each rule comes in turn, errors first, so that a hundred defects of one kind do
    not hide the only one of another. Returns a PNG, or None where there is nothing to draw.
    """
    tiles = _choose(inspections)
    if not tiles:
        return None
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    # the words come from the file: a dollar sign in them begins no formula
    with rc_context({'font.size': 8, 'text.parse_math': False}):
        figure = Figure(figsize=(4.3 * columns, 4.5 * rows), dpi=100, facecolor='white')
        axes = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[3, 1.2] * rows)
        for axis in axes.ravel():
            axis.axis('off')
        for place, tile in enumerate(tiles):
            row, column = divmod(place, columns)
            _draw_tile(axes[2 * row, column], axes[2 * row + 1, column], *tile)
        figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.25 / figure.get_figheight(), wspace=0.05, hspace=0.06)
        return png_of(figure)


def _choose(inspections: Sequence[Inspection]) -> list[tuple[Inspection, int, np.ndarray, list[Named]]]:
    """Choose images: the dataset, the position, the pixels in RGB, and the findings, errors first."""
    queues, of_image = [], defaultdict(list)
    for number, inspection in enumerate(inspections):
        unreadable = {None} | {finding.image for name in _UNREADABLE for finding in inspection.found.get(name, [])}
        for name, findings in inspection.found.items():
            drawn = [finding for finding in findings if finding.image not in unreadable and name not in _NOT_DRAWN]
            for finding in drawn:
                of_image[number, finding.image].append((name, finding))
            counts = Counter((number, finding.image) for finding in drawn)
            queues.append((not inspection.is_error(name), [place for place, _ in counts.most_common()]))
    queues.sort(key=lambda queue: queue[0])
    # the worst image of each rule, then the second one of each, ...
    places = itertools.chain.from_iterable(itertools.zip_longest(*(places for _, places in queues)))
    chosen = []
    for number, i in dict.fromkeys(place for place in places if place is not None):
        image = read_rgb(inspections[number], i)
        if image is not None:
            chosen.append((inspections[number], i, image, of_image[number, i]))
        if len(chosen) == _IMAGES:
            break
    return chosen


def read_rgb(inspection: Inspection, i: int) -> np.ndarray | None:
    """Read an image as a run does; return it as uint8 RGB, (H, W, 3), or None if it cannot be decoded."""
    split, entry = inspection.split, inspection.tables.images[i]
    image = split.read_image(os.path.join(split.folder, entry['file_name']))
    if image is None:
        return None
    if image.dtype != np.uint8:
        image = cv2.normalize(image.astype(np.float32), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    if image.ndim == 2:
        image = np.stack([image] * 3, axis=2)
    return image[..., 2::-1]


def _color(inspection: Inspection, names: Sequence[str]) -> str:
    return _ERROR if any(map(inspection.is_error, names)) else _WARNING


def _draw_tile(axis: Axes, words: Axes, inspection: Inspection, i: int, image: np.ndarray, named: list[Named]) -> None:
    """Draw one image, its name above and what is wrong below."""
    tables, (height, width) = inspection.tables, image.shape[:2]
    of_object = defaultdict(list)
    for name, finding in named:
        of_object[finding.annotation].append((name, finding))
    lines = [(_words([both]), _color(inspection, [both[0]])) for both in of_object.pop(None, [])]
    view = _view([_points(tables, j) for j in of_object], height, width)
    show_part(axis, image, view)
    for number, (j, those) in enumerate(of_object.items(), 1):
        color = _color(inspection, [name for name, _ in those])
        if number <= _OBJECTS:
            _draw_object(axis, tables, j, those, number, color, (height, width), view)
        category = tables.names.get(int(tables.category[j]), 'object')
        title = f'{printable(category, 16)} {shown(tables.annotations[j].get("id"), 12)}'
        lines.append((f'{number}  {title}: {_words(those)}', color))
    part = '' if view[2] - view[0] >= width and view[3] - view[1] >= height else ', a part of it'
    title = f'{inspection.split.name}: {printable(tables.images[i]["file_name"], 44)}{part}'
    axis.set_title(title, fontsize=9, color=_DARK, pad=3)
    row = 0
    for number, (line, color) in enumerate(lines):
        wrapped = textwrap.wrap(line, _CHARACTERS, max_lines=2, placeholder=' ...')
        if row + len(wrapped) + (number < len(lines) - 1) > _LINES:
            wrapped, color = [f'and {len(lines) - number} more'], _DARK
        words.plot(0.015, 0.9 - row * 0.15, 's', color=color, ms=4, transform=words.transAxes, clip_on=False)
        for text in wrapped:
            words.text(0.035, 0.95 - row * 0.15, text, va='top', color=_DARK, transform=words.transAxes)
            row += 1
        if color == _DARK:
            break


def _words(named: Sequence[Named]) -> str:
    return '; '.join(': '.join(filter(None, (RULES[name].text, finding.detail))) for name, finding in named)


def _polygons(annotation: dict) -> list[np.ndarray]:
    """Return the polygons of an object whose numbers can be used, (K, 2) each."""
    form = annotation.get('segmentation')
    parts = form if isinstance(form, list) else []
    right = [p for p in parts if isinstance(p, list) and p and len(p) % 2 == 0 and all(map(is_number, p))]
    return [np.array(part, np.float64).reshape(-1, 2) for part in right]


def _corners(tables: CocoTables, j: int) -> np.ndarray:
    """Return two corners of an object's box, (2, 2); (0, 2) where there is none."""
    box = tables.box[j].reshape(2, 2)
    return np.array([box[0], box.sum(axis=0)]) if np.isfinite(box).all() else np.empty((0, 2))


def _points(tables: CocoTables, j: int) -> np.ndarray:
    """Return all points of an object's box and polygons, (K, 2)."""
    return np.concatenate([_corners(tables, j), *_polygons(tables.annotations[j])])


def outlines_of(annotation: dict, shape: tuple[int, int]) -> list[np.ndarray]:
    """Return the outlines of a mask, (K, 2) each; of an RLE only where it fits the image."""
    form = annotation.get('segmentation')
    if not isinstance(form, dict) or rle_problem(form, *shape):
        return _polygons(annotation)
    rle = mask_api.frPyObjects(form, *shape) if isinstance(form['counts'], list) else form
    contours, _ = cv2.findContours(mask_api.decode(rle), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [contour[:, 0].astype(np.float64) + 0.5 for contour in contours]


def _draw_object(
    axis: Axes,
    tables: CocoTables,
    j: int,
    named: Sequence[Named],
    number: int,
    color: str,
    shape: tuple[int, int],
    view: tuple[float, float, float, float],
) -> None:
    """Draw an object: its box dashed, its outline, a ring where it crosses itself, and its number."""
    # far outside, numbers are too large to be drawn
    spread = max(view[2] - view[0], view[3] - view[1])
    low, high = np.array(view[:2]) - spread, np.array(view[2:]) + spread
    for points in outlines_of(tables.annotations[j], shape):
        x, y = np.clip([*points, points[0]], low, high).T
        axis.plot(x, y, color=color, lw=1.4, marker='o' if len(points) < 3 else '', path_effects=_OUTLINED)
    corners = _corners(tables, j)
    if len(corners):
        (x1, y1), (x2, y2) = np.clip(corners, low, high)
        dashed = dict(fill=False, ec=color, lw=1.2, ls=(0, (4, 3)), path_effects=_OUTLINED)
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, **dashed))
    for name, finding in named:
        if name == 'polygon-crossing' and (at := _CROSSING.search(finding.detail)):
            x, y = np.clip([float(at[1]), float(at[2])], low, high)
            axis.plot(x, y, 'o', ms=11, mfc='none', mec=color, mew=1.8, path_effects=_OUTLINED)
    points = _points(tables, j)
    if len(points):
        margin = spread * 0.02
        x, y = np.clip(points.min(0), np.array(view[:2]) + margin, np.array(view[2:]) - margin)
        badge = dict(boxstyle='round,pad=0.2', fc=color, ec='white', lw=0.6)
        axis.text(x, y, str(number), color='white', fontsize=8, weight='bold', ha='center', va='center', bbox=badge)


def _view(objects: list[np.ndarray], height: int, width: int) -> tuple[float, float, float, float]:
    """Return x1, y1, x2, y2 to show: the whole image, or the part with the objects where they are small.

    What reaches out of the image is shown up to a quarter of it.
    """
    points = np.concatenate([np.empty((0, 2)), *objects])
    if not len(points):
        return 0, 0, width, height
    low, high, size = points.min(0), points.max(0), np.array([width, height])
    wanted = 1.6 * np.maximum(high - low, np.maximum(size / 8, 60))
    wanted = np.maximum(wanted, 0.8 * wanted.max())  # a strip would be small
    center = np.clip((low + high) / 2, 0, size)
    start, end = np.maximum(center - wanted / 2, 0), np.minimum(center + wanted / 2, size)
    whole = end - start >= 0.7 * size
    start, end = np.minimum(np.where(whole, 0, start), low), np.maximum(np.where(whole, size, end), high)
    return (*np.maximum(start, -size / 4), *np.minimum(end, 1.25 * size))


def show_part(axis: Axes, image: np.ndarray, view: tuple[float, float, float, float]) -> None:
    """Show a part of an image, gray where there is none."""
    height, width = image.shape[:2]
    x1, y1 = (max(int(v), 0) for v in view[:2])
    x2, y2 = min(int(np.ceil(view[2])), width), min(int(np.ceil(view[3])), height)
    part = image[y1:y2, x1:x2]
    shrink = min(1, _LONGEST / max(part.shape[:2]))
    if shrink < 1:
        part = cv2.resize(part, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    axis.set_facecolor('#d8d8d8')
    axis.axis('on')
    axis.set(xticks=[], yticks=[])
    axis.imshow(part, extent=(x1, x2, y2, y1), interpolation='bilinear')
    axis.set(xlim=(view[0], view[2]), ylim=(view[3], view[1]))
    for side in axis.spines.values():
        side.set_color('#999999')
