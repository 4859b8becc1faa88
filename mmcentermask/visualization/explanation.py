"""Draws what a CenterMask computes on its way from an image to masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle

from mmcentermask.structures import decode_crop

from .drawing import draw_instances
from .style import class_colors, class_label

if TYPE_CHECKING:
    from mmcentermask.apis.explanation import Explanation

_LEVEL_COLORS = ('#4477aa', '#228833', '#ee7733', '#cc3311', '#aa3377', '#555555')  # of P2, P3, ...
_HEAT = colormaps['inferno']
_DIM = 0.45  # brightness of the image below a map
_MARGIN = 0.12  # around a box, as a part of its long side
_MOST_MODULES = 8  # of eSE
_HEADING, _NOTE = 11, 8.5  # points


def draw_explanation(explanation: Explanation, objects: int = 3) -> Figure:
    """Draw an image's way through the model, from its channels to the masks of its best objects, 12 inches wide."""
    height, width = explanation.image.shape[:2]
    aspect = min(max(height / width, 0.4), 1.6)
    shown = min(objects, len(explanation.found))
    maps = 1 if explanation.centerness is None else 2
    rows = [2.6 * aspect + 0.5, maps * (2.1 * aspect + 0.1) + 0.6, max(2 * 2.1 * aspect + 1.4, 2.05 * shown + 0.7)]
    figure = Figure(figsize=(12, sum(rows)), layout='constrained')
    first, second, third = figure.subfigures(3, 1, height_ratios=rows, hspace=0.02)
    _draw_first_row(first, explanation)
    _draw_box_head(second, explanation)
    left, right = third.subfigures(1, 2, width_ratios=(1, 2.6))
    _draw_levels(left, explanation)
    if shown:
        _heading(right, '4  Mask head: spatial attention tells which pixels of the box matter')
        axes = right.subplots(shown, 4, squeeze=False)
        for i, row in enumerate(axes):
            _draw_object_row(row, explanation, i, i == 0)
    return figure


def draw_object(explanation: Explanation, index: int) -> Figure:
    """Draw how the mask of one object came about, see ``draw_explanation``."""
    figure = Figure(figsize=(8, 2.5), layout='constrained')
    _draw_object_row(figure.subplots(1, 4), explanation, index, True)
    return figure


def _heading(part: SubFigure, text: str) -> None:
    part.suptitle(text, x=0.01, ha='left', fontsize=_HEADING, fontweight='bold')


def _bare(axes: Axes, title: str = '', **kwargs) -> None:
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=_NOTE, **kwargs)


def _rgb(explanation: Explanation, brightness: float = 1.0) -> np.ndarray:
    return np.rint(explanation.image[..., ::-1] * brightness).astype(np.uint8)


def _colors(explanation: Explanation) -> np.ndarray:
    """Return the color of each class, RGB, 0..1."""
    return np.array(class_colors(len(explanation.found.classes))) / 255


def _draw_first_row(part: SubFigure, explanation: Explanation) -> None:
    found = explanation.found
    image, channels, result = part.subplots(1, 3, width_ratios=(1, 1.5, 1))
    image.imshow(_rgb(explanation))
    _bare(image, f'image, {found.width} x {found.height}; the network sees '
                 f'{explanation.input_size[1]} x {explanation.input_size[0]}')  # fmt: skip
    drawn = dict(bboxes=found.boxes, labels=found.labels, scores=found.scores, masks=found.rle)
    scale = max(1, round(640 / max(found.height, found.width)))
    result.imshow(draw_instances(_rgb(explanation), drawn, found.classes, scale=scale))
    _bare(result, f'result: {len(found)} object(s)')
    weights = [*explanation.channel_weights.items()][-_MOST_MODULES:]
    channels.set_title('1  Backbone: eSE weighs the channels', loc='left', fontsize=_HEADING, fontweight='bold')
    channels.axis('off')
    if not weights:
        channels.text(0.5, 0.5, 'no eSE in this backbone', ha='center', transform=channels.transAxes, fontsize=_NOTE)
    for i, (name, values) in enumerate(weights):
        strip = channels.inset_axes((0, 1 - (i + 0.85) / len(weights), 1, 0.5 / len(weights)))
        strip.imshow(values[None], aspect='auto', cmap=_HEAT, vmin=0, vmax=1, interpolation='nearest')
        stage, module = name.split('.')[:2]
        _bare(strip, f'{stage.replace("stage", "stage ")}, module {int(module) + 1}: {len(values)} channels, '
                     f'{values.min():.2f} to {values.max():.2f}', loc='left', pad=2)  # fmt: skip


def _draw_box_head(part: SubFigure, explanation: Explanation) -> None:
    _heading(part, '2  Box head (FCOS): each location of a level says which class it sees, and how central it is in it')
    rows = 1 if explanation.centerness is None else 2
    axes = part.subplots(rows, len(explanation.box_levels), squeeze=False)
    colors = _colors(explanation)
    for column, (level, maps) in enumerate(zip(explanation.box_levels, explanation.class_maps)):
        heat = np.concatenate([colors[maps.argmax(axis=0)], maps.max(axis=0)[..., None]], axis=2)
        title = f'P{level}: {maps.shape[2]} x {maps.shape[1]} locations'
        _draw_map(axes[0, column], explanation, heat, level, title)
        if rows == 2:
            values = explanation.centerness[column]
            heat = _HEAT(values)
            heat[..., 3] = 0.15 + 0.8 * maps.max(axis=0)  # where no class is seen, it means nothing
            _draw_map(axes[1, column], explanation, heat, level)
    names = ('class, in its color', 'centerness, bright: 1')
    for row, name in zip(axes, names):
        row[0].set_ylabel(name, fontsize=_NOTE)


def _draw_map(axes: Axes, explanation: Explanation, heat: np.ndarray, level: int, title: str = '') -> None:
    """Lay colors (h, w, 4) of the locations of a level over the image."""
    height, width = explanation.image.shape[:2]
    axes.imshow(explanation.image.mean(axis=2), cmap='gray', vmin=0, vmax=340)  # a gray that no class has
    # a location stands for a square of its level's stride, the last ones reach beyond the image
    y, x = 2**level * np.array([height, width]) / explanation.input_size
    axes.imshow(heat, extent=(0, heat.shape[1] * x, heat.shape[0] * y, 0), interpolation='nearest')
    axes.set(xlim=(0, width), ylim=(height, 0))
    _bare(axes, title)


def _draw_levels(part: SubFigure, explanation: Explanation) -> None:
    _heading(part, '3  Which level each box reads')
    height, width = explanation.image.shape[:2]
    rules = {
        'Eq. 1 (FPN): against 224 pixels\n⌊4 + log₂(√box area / 224)⌋': explanation.fpn_levels,
        'Eq. 2 (CenterMask): against the image\n⌈5 − log₂(image area / box area)⌉': explanation.levels,
    }
    for axes, (title, levels) in zip(part.subplots(2, 1), rules.items()):
        axes.imshow(_rgb(explanation, 0.7))
        for (x1, y1, x2, y2), level in reversed([*zip(explanation.rois, levels)]):
            color = _LEVEL_COLORS[(level - 2) % len(_LEVEL_COLORS)]
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=color, linewidth=2.5))
            look = dict(facecolor=color, edgecolor='none', pad=1.5)
            place = np.clip([x1, y1], 0, [width, height])
            axes.text(*place, f'P{level}', color='white', fontsize=_NOTE, va='top', bbox=look)
        axes.set(xlim=(0, width), ylim=(height, 0))
        _bare(axes, title)


def _draw_object_row(row: np.ndarray, explanation: Explanation, index: int, titled: bool) -> None:
    """Draw a box, the attention in it, its mask before pasting and after, in four axes."""
    found = explanation.found[index]
    x1, y1, x2, y2 = roi = explanation.rois[index]
    center_x, center_y, half = (x1 + x2) / 2, (y1 + y2) / 2, (0.5 + _MARGIN) * max(x2 - x1, y2 - y1, 1)
    label = int(found.labels[0])
    color = _colors(explanation)[label]
    titles = ['box', 'attention', 'mask in the box', 'mask in the image'] if titled else [''] * 4
    for axes, title in zip(row, titles):
        _bare(axes, title)
    for axes in row[[0, 1, 3]]:
        axes.imshow(_rgb(explanation, _DIM if axes is row[1] else 1.0))
        axes.set(xlim=(center_x - half, center_x + half), ylim=(center_y + half, center_y - half))
    row[0].add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=color, linewidth=2))
    text = f'{class_label(label, found.classes)} {found.scores[0]:.2f}, P{explanation.levels[index]}'
    row[0].set_xlabel(text, fontsize=_NOTE)
    if explanation.attention is None:
        row[1].set_xlabel('no spatial attention', fontsize=_NOTE)
    else:
        values = explanation.attention[index]
        extent = (roi[0], roi[2], roi[3], roi[1])
        row[1].imshow(values, extent=extent, cmap=_HEAT, alpha=0.8, interpolation='nearest')
        row[1].set_xlabel(f'{values.min():.2f} to {values.max():.2f}', fontsize=_NOTE)
    mask = explanation.mask_maps[index]
    row[2].imshow(mask, cmap='gray', vmin=0, vmax=1, interpolation='nearest')
    row[2].set_xlabel(f'{mask.shape[1]} x {mask.shape[0]} probabilities', fontsize=_NOTE)
    crop, x, y = decode_crop(found.rle[0])
    if crop.size:
        tint = np.concatenate([np.broadcast_to(color, (*crop.shape, 3)), 0.55 * crop[..., None]], axis=2)
        row[3].imshow(tint, extent=(x, x + crop.shape[1], y + crop.shape[0], y), interpolation='nearest')
    if explanation.mask_ious is not None:
        text = f'predicted IoU {explanation.mask_ious[index]:.2f}, score {found.mask_scores[0]:.2f}'
        row[3].set_xlabel(text, fontsize=_NOTE)
