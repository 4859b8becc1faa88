"""Draws diagrams: the curves of a run, and what ``evaluation.analyze_results`` found."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .run_log import RunLog

FORM_NAMES = {'bbox': 'box', 'segm': 'mask'}
FORM_COLORS = {'bbox': 'tab:blue', 'segm': 'tab:red'}
_CLASSES = 24  # of a chart: the best half and the worst half where there are more
_CONFUSED = 20  # classes of the confusion matrix: those that are confused most where there are more


def png_of(figure: Figure, dpi: float | str = 'figure') -> bytes:
    """Draw a figure, not one of pyplot's, as PNG with ``dpi`` pixels an inch: by default those it was made with."""
    file = io.BytesIO()
    figure.savefig(file, format='png', dpi=dpi)
    return file.getvalue()


def svg_of(figure: Figure) -> str:
    """Draw a figure, not one of pyplot's, as an ``<svg>`` element for HTML; the same figure gives the same text."""
    file = io.StringIO()
    with rc_context({'svg.hashsalt': 'mmcentermask'}):
        figure.savefig(file, format='svg', metadata=dict(Date=None))
    text = file.getvalue()
    return text[text.index('<svg') :]


def draw_curves(log: RunLog) -> Figure:
    """Draw two diagrams of a run side by side: every loss (log scale), and box and mask AP and AP50.

    The figure is not one of pyplot's: nothing global is touched, and no display is looked for.
    """
    figure = Figure(figsize=(11, 4.2), layout='constrained')
    left, right = figure.subplots(1, 2)

    names = sorted({key for line in log.train for key in line if key.startswith('loss')})
    for name in names:
        points = [(line['iteration'], line[name]) for line in log.train if line.get(name, 0) > 0]
        if points:
            total = name == 'loss'
            style = dict(color='black', linewidth=2) if total else dict(linewidth=1.3)
            left.plot(*zip(*points, strict=True), label='sum' if total else name, **style)
    left.set(title='Losses in training', xlabel='iteration', ylabel='loss (log scale)', yscale='log')
    left.legend(fontsize=8, ncols=2)

    for what, name in FORM_NAMES.items():
        for which, style in (('AP', '-'), ('AP50', '--')):
            points = [(line['iteration'], line[what, which]) for line in log.val if line.get((what, which), -1) >= 0]
            if points:
                look = dict(color=FORM_COLORS[what], marker='o', markersize=4)
                right.plot(*zip(*points, strict=True), style, label=f'{name} {which}', **look)
    right.set(title='AP on held-out images', xlabel='iteration', ylabel='AP', ylim=(0, 1))
    right.set_xlim(left=0, right=max(line['iteration'] for line in log.train + log.val) * 1.03)
    if right.lines:
        right.legend(fontsize=8, handlelength=4)
    else:
        right.text(0.5, 0.5, 'not evaluated yet', transform=right.transAxes, ha='center')
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
    return figure


def draw_errors(analysis: dict[str, Any]) -> Figure:
    """Draw six diagrams of what ``analyze_results`` gives.

    They show the AP that each kind of errors costs, precision over recall, calibration of scores and of mask scoring,
    AP by size and by class.
    """
    forms = [form for form in FORM_NAMES if form in analysis]
    with rc_context({'font.size': 9, 'text.parse_math': False}):
        figure = Figure(figsize=(13, 7.6), layout='constrained')
        axes = figure.subplots(2, 3).ravel()
        _errors(axes[0], analysis, forms)
        _curves(axes[1], analysis, forms)
        _sizes(axes[2], analysis, forms)
        _calibration(axes[3], analysis, forms)
        _mask_scoring(axes[4], analysis.get('mask_scoring'))
        _classes(axes[5], analysis, forms[-1])
        for axis in axes:
            axis.spines[['top', 'right']].set_visible(False)
    return figure


def draw_confusion(analysis: dict[str, Any]) -> Figure:
    """Draw the confusion matrix of masks that ``analyze_results`` gives, or of boxes where there are no masks.

    Colors are shares of the objects of each class; of more classes it has the 20 that are confused most.
    """
    form = 'segm' if 'segm' in analysis else 'bbox'
    names, matrix = analysis[form]['confusion']['names'], np.array(analysis[form]['confusion']['matrix'], float)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    if len(names) - 1 > _CONFUSED:
        wrong = matrix[:-1, :-1] * (1 - np.eye(len(names) - 1))
        kept = [*sorted(np.argsort(-(wrong.sum(0) + wrong.sum(1)), kind='stable')[:_CONFUSED]), len(names) - 1]
        names, matrix, shares = [names[i] for i in kept], matrix[np.ix_(kept, kept)], shares[np.ix_(kept, kept)]
    side = 2.2 + 0.42 * len(names)
    with rc_context({'font.size': 9, 'text.parse_math': False}):
        figure = Figure(figsize=(side + 0.6, side), layout='constrained')
        axis = figure.subplots()
        axis.imshow(shares, cmap='Blues', vmin=0, vmax=1)
        axis.set_xticks(range(len(names)), names, rotation=45, ha='right')
        axis.set_yticks(range(len(names)), names)
        axis.set(
            title=f'{dict(bbox="boxes", segm="masks")[form]} with a score from {analysis["score_thr"]:g} on',
            xlabel='predicted ("nothing": missed)',
            ylabel='annotated ("nothing": found where nothing is)',
        )
        for (row, column), number in np.ndenumerate(matrix.astype(int)):
            if number:
                color = 'white' if shares[row, column] > 0.6 else 'black'
                axis.text(column, row, number, ha='center', va='center', color=color, fontsize=8)
    return figure


def _bars(axis: Axes, names: Sequence[str], values: dict[str, Sequence[float | None]]) -> None:
    """Horizontal bars, one of each form at a name, the first name on top; a dash where there is no value."""
    height = 0.8 / len(values)
    for i, (which, numbers) in enumerate(values.items()):
        places = np.arange(len(names)) + (i - (len(values) - 1) / 2) * height
        lengths = [number or 0 for number in numbers]
        bars = axis.barh(places, lengths, height, color=FORM_COLORS[which], label=FORM_NAMES[which])
        texts = [' -' if number is None else f' {number:.3f}' for number in numbers]
        axis.bar_label(bars, texts, fontsize=7)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    if len(values) > 1:
        axis.legend(fontsize=8)


def _errors(axis: Axes, analysis: dict, forms: Sequence[str]) -> None:
    kinds = list(analysis[forms[0]]['tide'])
    _bars(axis, kinds, {form: [analysis[form]['tide'][kind]['ap'] for kind in kinds] for form in forms})
    axis.set(title='AP50 that each kind of errors costs (TIDE)', xlabel='AP50 without these errors, less AP50')
    axis.margins(x=0.15)


def _shares(axis: Axes, title: str, xlabel: str, ylabel: str) -> None:
    """Give a diagram of one share, 0..1, over another its names, limits and grid."""
    axis.set(title=title, xlabel=xlabel, ylabel=ylabel, xlim=(0, 1), ylim=(0, 1.02))
    axis.grid(alpha=0.3)


def _curves(axis: Axes, analysis: dict, forms: Sequence[str]) -> None:
    for form in forms:
        for (iou, precision), style in zip(analysis[form]['curves'].items(), ('-', '--', ':'), strict=False):
            values = [np.nan if value is None else value for value in precision]
            label = f'{FORM_NAMES[form]}, IoU {iou}'
            axis.plot(np.linspace(0, 1, len(values)), values, style, color=FORM_COLORS[form], label=label)
    _shares(axis, 'Precision over recall, mean of the classes', 'recall', 'precision')
    axis.legend(fontsize=7)


def _sizes(axis: Axes, analysis: dict, forms: Sequence[str]) -> None:
    names = {'AP': 'all', 'APs': 'small (below 32²)', 'APm': 'medium (below 96²)', 'APl': 'large'}
    _bars(axis, list(names.values()), {form: [analysis[form]['scores'][name] for name in names] for form in forms})
    axis.set(title='AP by the size of objects, in pixels', xlabel='AP', xlim=(0, 1))


def _calibration(axis: Axes, analysis: dict, forms: Sequence[str]) -> None:
    axis.plot([0, 1], [0, 1], color='gray', linewidth=0.8)
    for form in forms:
        bins = [b for b in analysis[form]['calibration']['bins'] if b['count']]
        label = f'{FORM_NAMES[form]}, error {analysis[form]["calibration"]["error"]:.3f}'
        x, y = [b['avg_confidence'] for b in bins], [b['avg_accuracy'] for b in bins]
        axis.plot(x, y, 'o-', color=FORM_COLORS[form], label=label)
    _shares(axis, 'Calibration of scores', 'score', 'share that is right (IoU 0.5)')
    axis.legend(fontsize=8)


def _mask_scoring(axis: Axes, found: dict | None) -> None:
    _shares(axis, 'Calibration of mask scoring', 'predicted mask IoU', 'real mask IoU')
    if found is None:
        axis.grid(False)
        axis.text(0.5, 0.5, 'the model has no mask scoring', ha='center', transform=axis.transAxes)
        return
    axis.plot([0, 1], [0, 1], color='gray', linewidth=0.8)
    bins = found['bins']
    sizes = [12 + 250 * b['count'] / found['number'] for b in bins]
    axis.plot([b['predicted'] for b in bins], [b['real'] for b in bins], color='tab:red', linewidth=0.8)
    axis.scatter([b['predicted'] for b in bins], [b['real'] for b in bins], sizes, color='tab:red')
    lines = [f'{found["number"]:,} masks (area: their share)', f'mean error {found["error"]:.3f}']
    if found['correlation'] is not None:
        lines.append(f'correlation {found["correlation"]:.2f}')
    axis.text(0.03, 0.97, '\n'.join(lines), va='top', transform=axis.transAxes, fontsize=8)


def _classes(axis: Axes, analysis: dict, form: str) -> None:
    rows = sorted((row for row in analysis[form]['classes'] if row['AP'] is not None), key=lambda row: -row['AP'])
    half = _CLASSES // 2
    more = f' ({half} best, {half} worst)' if len(rows) > _CLASSES else ''
    rows = rows[:half] + rows[-half:] if more else rows
    _bars(axis, [f'{row["name"]} ({row["objects"]})' for row in rows], {form: [row['AP'] for row in rows]})
    axis.set(title=f'{FORM_NAMES[form]} AP by class (objects){more}', xlabel='AP', xlim=(0, 1))
    if len(rows) > 12:
        axis.tick_params(axis='y', labelsize=6)
