"""Draws the losses and the AP of a run over its iterations."""

from matplotlib.figure import Figure

from .error_charts import FORM_COLORS, FORM_NAMES
from .run_log import RunLog


def draw_curves(log: RunLog) -> Figure:
    """Two diagrams side by side: every loss (log scale), and box and mask AP and AP50.

    Args:
        log: What the run logged.

    Returns:
        Figure: Not one of pyplot's.
    """
    # A figure of its own and no pyplot: nothing global is touched and no display is looked for.
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
            points = [(line['iteration'], line[what, which]) for line in log.val if (what, which) in line]
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
