"""Draws the worst images with what is wrong in them."""

import os
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmcentermask.visualization import png_of

from .checker import Inspection
from .drawing import DARK, color_of, draw_object, reach_of
from .findings import KINDS, Finding, printable

__all__ = ['draw_worst']

_LINES, _CHARACTERS = 6, 66  # of words below an image
_LONGEST = 640  # pixels of a picture's long side; a sheet needs no more
_OBJECTS = 30  # objects to draw in an image
# no picture shows them
_NOT_DRAWN = ('image-entry', 'image-missing', 'image-damaged', 'image-file-twice', 'image-elsewhere')
_UNREADABLE = _NOT_DRAWN[:3]


def draw_worst(inspections: Sequence[Inspection], number: int = 12, columns: int = 4) -> bytes | None:
    """Draw the worst images: what is wrong in red (errors) or orange (warnings), with words below.

    Args:
        inspections (Sequence[Inspection]): What was found.
        number (int): Images at most. Defaults to 12.
        columns (int): Images in a row. Defaults to 4.

    Returns:
        bytes or None: A PNG; None where there is nothing to draw.
    """
    tiles = _choose(inspections, number)
    if not tiles:
        return None
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    # the words come from the file: a dollar sign in them begins no formula
    with rc_context({'font.size': 8, 'text.parse_math': False}):
        figure = Figure(figsize=(4.3 * columns, 4.5 * rows), dpi=100, facecolor='white')
        FigureCanvasAgg(figure)
        axes = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[3, 1.2] * rows)
        for axis in axes.ravel():
            axis.axis('off')
        for place, tile in enumerate(tiles):
            row, column = divmod(place, columns)
            _draw_tile(axes[2 * row, column], axes[2 * row + 1, column], *tile)
        figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.25 / figure.get_figheight(), wspace=0.05, hspace=0.06)
        return png_of(figure)


def _choose(inspections: Sequence[Inspection], number: int) -> list[tuple]:
    """Take the image with the most findings of each kind in turn, errors first, until there are enough.

    So a hundred defects of one kind do not hide the only one of another.

    Returns:
        list: Inspection, position of the image, its picture and its findings, errors first.
    """
    queues = [queue for inspection in inspections for queue in _queues(inspection)]
    queues.sort(key=lambda queue: not KINDS[queue[0]].error)
    chosen, seen = [], set()
    while queues and len(chosen) < number:
        for queue in list(queues):
            _, inspection, images, of_image = queue
            i = next((i for i in images if (inspection.name, i) not in seen), None)
            if i is None:
                queues.remove(queue)
            elif len(chosen) < number:
                seen.add((inspection.name, i))
                name = inspection.content['images'][i]['file_name']
                image = inspection.read(os.path.join(inspection.folder, name))
                if image is not None:
                    findings = sorted(of_image[i], key=lambda finding: not finding.error)
                    chosen.append((inspection, i, _as_rgb(image), findings))
    return chosen


def _queues(inspection: Inspection) -> list[tuple[str, Inspection, Iterator[int], dict[int, list[Finding]]]]:
    """Return, a kind, the images that can be drawn, worst first, and the findings of each image."""
    of_image, counts = defaultdict(list), defaultdict(Counter)
    unreadable = {finding.image for finding in inspection.findings if finding.kind in _UNREADABLE}
    for finding in inspection.findings:
        if finding.image is not None and finding.image not in unreadable and finding.kind not in _NOT_DRAWN:
            of_image[finding.image].append(finding)
            counts[finding.kind][finding.image] += 1
    kinds = [kind for kind in inspection.findings.by_kind() if kind in counts]
    return [(kind, inspection, iter([i for i, _ in counts[kind].most_common()]), of_image) for kind in kinds]


def _as_rgb(image: np.ndarray) -> np.ndarray:
    """Turn what any decoder gives into uint8 RGB, (H, W, 3)."""
    if image.dtype != np.uint8:
        image = cv2.normalize(image.astype(np.float32), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    if image.ndim == 2:
        image = np.stack([image] * 3, axis=2)
    return image[..., 2::-1]


def _draw_tile(
    axis: Axes, words: Axes, inspection: Inspection, i: int, image: np.ndarray, findings: list[Finding]
) -> None:
    """Draw one image, its name above and what is wrong below."""
    content = inspection.content
    of_object = defaultdict(list)
    for finding in findings:
        of_object[finding.annotation].append(finding)
    lines = [(_sentence(finding), color_of([finding])) for finding in of_object.pop(None, [])]
    height, width = image.shape[:2]
    view = _view([content['annotations'][j] for j in of_object], height, width)
    _show(axis, image, view)
    for number, (j, those) in enumerate(of_object.items(), 1):
        if number <= _OBJECTS:
            draw_object(axis, content['annotations'][j], those, number, (height, width), view)
        text = '; '.join(map(_sentence, those))
        lines.append((f'{number}  {_name(content, j)}: {text}', color_of(those)))
    part = '' if view[2] - view[0] >= width and view[3] - view[1] >= height else ', a part of it'
    axis.set_title(
        f'{inspection.name}: {printable(content["images"][i]["file_name"], 44)}{part}', fontsize=9, color=DARK, pad=3
    )
    row = 0
    for number, (line, color) in enumerate(lines):
        wrapped = textwrap.wrap(line, _CHARACTERS, max_lines=2, placeholder=' ...')
        if row + len(wrapped) + (number < len(lines) - 1) > _LINES:
            wrapped, color = [f'and {len(lines) - number} more'], DARK
        words.plot(0.015, 0.9 - row * 0.15, 's', color=color, ms=4, transform=words.transAxes, clip_on=False)
        for text in wrapped:
            words.text(0.035, 0.95 - row * 0.15, text, va='top', color=DARK, transform=words.transAxes)
            row += 1
        if color == DARK:
            break


def _sentence(finding: Finding) -> str:
    return KINDS[finding.kind].text + (f': {finding.detail}' if finding.detail else '')


def _name(content: dict, j: int) -> str:
    """Name an object: its category, where it has one, and its id."""
    annotation = content['annotations'][j]
    categories = [entry for entry in content['categories'] if isinstance(entry, dict)]
    names = [entry.get('name') for entry in categories if entry.get('id') == annotation.get('category_id')]
    return f'{printable(names[0], 16) if names else "object"} {printable(annotation.get("id"), 12)}'


def _view(annotations: list[dict], height: int, width: int) -> tuple[float, float, float, float]:
    """Return x1, y1, x2, y2 to show: the whole image, or the part with the objects where they are small.

    What reaches out of the image is shown up to a quarter of it.
    """
    reaches = [reach for reach in map(reach_of, annotations) if reach is not None]
    if not reaches:
        return 0, 0, width, height
    x1, y1 = np.min([reach[:2] for reach in reaches], axis=0)
    x2, y2 = np.max([reach[2:] for reach in reaches], axis=0)
    sides = [max(x2 - x1, width / 8, 60) * 1.6, max(y2 - y1, height / 8, 60) * 1.6]
    sides = [max(side, 0.8 * max(sides)) for side in sides]  # a strip would be small
    view = []
    for low, high, wanted, side in ((x1, x2, sides[0], width), (y1, y2, sides[1], height)):
        center = np.clip((low + high) / 2, 0, side)
        start, end = max(center - wanted / 2, 0), min(center + wanted / 2, side)
        if end - start >= 0.7 * side:
            start, end = 0, side
        view.append((max(min(start, low), -side / 4), min(max(end, high), side * 1.25)))
    return view[0][0], view[1][0], view[0][1], view[1][1]


def _show(axis: Axes, image: np.ndarray, view: tuple[float, float, float, float]) -> None:
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
