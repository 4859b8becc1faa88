"""Draws what a dataset holds: objects of each class, sizes of objects and images, objects an image, some images."""

from collections import Counter

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..datasets.annotation_tables import CocoTables
from ..datasets.inspection import Inspection
from ..datasets.values import is_number, printable
from .charts import png_of
from .style import class_colors, class_label, text_color
from .worst_images import outlines_of, read_rgb, show_part

_IMAGES, _CLASSES = 8, 30  # that are shown, of the classes those with most objects
_SMALL, _MEDIUM = 32, 96  # COCO's limits of small and medium objects, side of a square in pixels
_OBJECTS = 60  # to draw in an image, the largest ones


def draw_overview(inspection: Inspection) -> bytes:
    """Draw a dataset as a PNG, from the objects that a run uses; crowds and what cannot be used are left out.

    The images are not chosen: they are taken at equal steps from those that have objects.
    """
    tables, split = inspection.tables, inspection.split
    usable = tables.usable[0]
    with rc_context({'font.size': 9, 'text.parse_math': False}):
        figure = Figure(figsize=(16, 11.5), layout='constrained')
        axes = figure.subplots(3, 4, height_ratios=[1.15, 1, 1])
        numbers = f'{len(tables.images):,} images, {usable.sum():,} objects, {len(tables.classes)} classes'
        figure.suptitle(f'{split.name}: {printable(split.ann_file, 90)} ({numbers})')
        _classes(axes[0, 0], tables, usable)
        _sizes(axes[0, 1], tables, usable)
        _crowdedness(axes[0, 2], tables, usable)
        _shapes(axes[0, 3], tables)
        for axis in axes[0]:
            axis.spines[['top', 'right']].set_visible(False)
        for axis in axes[1:].ravel():
            axis.axis('off')
        for axis, i in zip(axes[1:].ravel(), _spread(inspection, usable)):
            _image(axis, inspection, i, usable)
        return png_of(figure, dpi=90)


def _classes(axis: Axes, tables: CocoTables, usable: np.ndarray) -> None:
    found = Counter(tables.names.get(i) for i in tables.category[usable].tolist())
    counts = sorted(((found[name], name) for name in tables.classes), key=lambda both: -both[0])
    more = f' ({_CLASSES} of {len(counts)})' if len(counts) > _CLASSES else ''
    counts = counts[:_CLASSES]
    bars = axis.barh(range(len(counts)), [count for count, _ in counts], color='tab:blue')
    axis.bar_label(bars, [f' {count:,}' for count, _ in counts], fontsize=7)
    axis.set_yticks(range(len(counts)), [printable(name, 24) for _, name in counts], fontsize=7)
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.set(title=f'objects by class{more}', xlabel='objects')


def _sizes(axis: Axes, tables: CocoTables, usable: np.ndarray) -> None:
    """Histogram of the roots of the areas, over a logarithmic axis."""
    entries = [tables.annotations[i] for i in usable.nonzero()[0]]
    sides = np.sqrt([entry['area'] for entry in entries if is_number(entry.get('area')) and entry['area'] > 0])
    axis.set(title='size of objects', xlabel='root of the area, in pixels', ylabel='objects')
    if not len(sides):
        return
    axis.hist(sides, np.geomspace(max(sides.min(), 1), max(sides.max(), 2), 40), color='tab:blue')
    axis.set_xscale('log', base=2)
    axis.xaxis.set_major_formatter('{x:g}')  # the usual one writes formulas
    limits = (0, _SMALL, _MEDIUM, np.inf)
    shares = [((sides >= low) & (sides < high)).mean() for low, high in zip(limits[:-1], limits[1:], strict=True)]
    for limit in (_SMALL, _MEDIUM):
        axis.axvline(limit, color='gray', linewidth=0.8)
    named = zip(('small', 'medium', 'large'), shares, strict=True)
    axis.set(title='size of objects: ' + ', '.join(f'{name} {share:.0%}' for name, share in named))


def _crowdedness(axis: Axes, tables: CocoTables, usable: np.ndarray) -> None:
    counts = np.bincount(tables.image[usable & (tables.image >= 0)], minlength=len(tables.images))
    axis.hist(counts, np.arange(counts.max(initial=0) + 2) - 0.5, color='tab:blue')
    mean = f'{counts.mean():.1f}' if len(counts) else '-'
    told = f'objects (mean {mean}; {(counts == 0).sum():,} images have none)'
    axis.set(title='objects an image', xlabel=told, ylabel='images')


def _shapes(axis: Axes, tables: CocoTables) -> None:
    sizes, counts = np.unique(tables.sizes[tables.sizes[:, 0] > 0], axis=0, return_counts=True)
    axis.set(title=f'size of images ({len(sizes):,} different)', xlabel='width in pixels', ylabel='height in pixels')
    if len(sizes):
        area = 15 + 400 * counts / counts.sum()
        axis.scatter(sizes[:, 1], sizes[:, 0], area, color='tab:blue', alpha=0.5, linewidths=0)
        axis.set(xlim=(0, sizes[:, 1].max() * 1.1), ylim=(0, sizes[:, 0].max() * 1.1))
    axis.grid(alpha=0.3)


def _spread(inspection: Inspection, usable: np.ndarray) -> list[int]:
    """Return positions of images with objects that can be read, at equal steps."""
    tables = inspection.tables
    found = inspection.found.items()
    unreadable = {finding.image for name, those in found if name.startswith('image-') for finding in those}
    rows = [i for i in np.unique(tables.image[usable & (tables.image >= 0)]).tolist() if i not in unreadable]
    if not inspection.split.images or not rows:
        return []
    return [rows[i] for i in np.linspace(0, len(rows) - 1, min(_IMAGES, len(rows))).round().astype(int)]


def _image(axis: Axes, inspection: Inspection, i: int, usable: np.ndarray) -> None:
    tables, image = inspection.tables, read_rgb(inspection, i)
    if image is None:
        return
    height, width = image.shape[:2]
    show_part(axis, image, (0, 0, width, height))
    axis.set_title(printable(tables.images[i]['file_name'], 40), fontsize=8)
    colors = class_colors(len(tables.classes))
    objects = (usable & (tables.image == i)).nonzero()[0].tolist()
    objects.sort(key=lambda j: -np.nan_to_num(tables.box[j, 2] * tables.box[j, 3]))
    for j in objects[:_OBJECTS]:
        label = tables.classes.index(tables.names[tables.category[j]])
        color = np.array(colors[label]) / 255
        for points in outlines_of(tables.annotations[j], (height, width)):
            if len(points) > 2:
                axis.fill(*points.T, facecolor=(*color, 0.4), edgecolor=color, linewidth=1.2)
        x, y = tables.box[j, :2]
        if np.isfinite(x):
            ground = dict(boxstyle='square,pad=0.15', fc=color, ec='none')
            name = printable(class_label(label, tables.classes), 16)
            ink = np.array(text_color(colors[label])) / 255
            axis.text(x, y, name, fontsize=6, color=ink, va='bottom', bbox=ground, clip_on=True)
