"""Compares the runs of an ablation: a table, its numbers as CSV, and a plot."""

import csv
import io
import os
import statistics
from pathlib import Path
from typing import NamedTuple

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmcentermask.apis.output_files import write_files
from mmcentermask.visualization import png_of

__all__ = ['Row', 'compare', 'draw_comparison', 'write_comparison']

METRICS = ('AP', 'APs', 'APm', 'APl')


class Row(NamedTuple):
    """One config of an ablation.

    Attributes:
        name: Name of the config.
        scores: A dict a seed, with AP values, 0..1, by ``'segm AP'`` and the like; -1 where nothing could be scored.
        parameters: Number of parameters.
        multiply_adds: Of the network on one image.
        seconds: Of the network on one image.
    """

    name: str
    scores: list[dict]
    parameters: int
    multiply_adds: int
    seconds: float

    def values(self, metric: str) -> list[float]:
        """Mask AP of each seed, in points (0..100), where it could be scored."""
        values = [score.get(f'segm {metric}', -1) for score in self.scores]
        return [100 * value for value in values if value >= 0]


def _difference(row: Row, first: Row, metric: str) -> str:
    """The difference to the first config, 'none' where it is not above the spread of the seeds."""
    ours, theirs = row.values(metric), first.values(metric)
    if not ours or not theirs:
        return ''
    difference = statistics.mean(ours) - statistics.mean(theirs)
    spread = max(max(values) - min(values) for values in (ours, theirs))
    return 'none' if abs(difference) <= spread else f'{difference:+.1f}'


def compare(rows: list[Row]) -> str:
    """Return the table as Markdown.

    AP is the mean over seeds, with the least and the largest in brackets. A difference to the first row that is not
    above the larger spread (largest minus least) of the two is called none; one seed has no spread, and no difference.

    Args:
        rows (list[Row]): The first is compared with.

    Returns:
        str: The table.
    """
    head = ['config', *[f'mask {m}' for m in METRICS], 'AP against the first', 'APs against the first']
    head += ['parameters', 'GMACs', 'ms']
    lines = ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    for i, row in enumerate(rows):
        cells = [row.name]
        for metric in METRICS:
            values = row.values(metric)
            several = f' ({min(values):.1f} to {max(values):.1f})' if len(values) > 1 else ''
            cells.append(f'{statistics.mean(values):.1f}{several}' if values else '')
        seeds = min(len(row.scores), len(rows[0].scores))
        cells += [_difference(row, rows[0], m) if i > 0 and seeds > 1 else '' for m in ('AP', 'APs')]
        cells += [f'{row.parameters:,}', f'{row.multiply_adds / 1e9:.2f}', f'{1000 * row.seconds:.1f}']
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def draw_comparison(rows: list[Row]) -> bytes:
    """Draw mask AP and mask AP of small objects: a dot a seed, a line at the mean.

    Args:
        rows (list[Row]): As ``compare``.

    Returns:
        bytes: The picture as PNG.
    """
    # a figure of its own and no pyplot: nothing global is touched and no display is looked for
    figure = Figure(figsize=(11, 1.2 + 0.4 * len(rows)), layout='constrained')
    FigureCanvasAgg(figure)
    for axes, metric in zip(figure.subplots(1, 2, sharey=True), ('AP', 'APs')):
        for place, row in enumerate(rows):
            values = row.values(metric)
            if values:
                colour = 'tab:gray' if place == 0 else 'tab:red'
                axes.plot(values, [place] * len(values), 'o', color=colour, alpha=0.8)
                axes.plot([statistics.mean(values)] * 2, [place - 0.3, place + 0.3], color=colour, linewidth=2)
        if rows[0].values(metric):
            axes.axvline(statistics.mean(rows[0].values(metric)), color='tab:gray', linewidth=0.8, linestyle='--')
        axes.set_title(f'mask {metric} in points, a dot a seed')
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.grid(axis='x', alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
    axes.invert_yaxis()
    return png_of(figure, dpi=120)


def write_comparison(folder: str | os.PathLike, rows: list[Row], told: str) -> None:
    """Write ``table.md``, ``results.csv`` and ``plot.png``, each whole or not at all.

    Args:
        folder (str): Where to; made if it is not there.
        rows (list[Row]): As ``compare``.
        told (str): What stands below the table: the command, the machine.
    """
    numbers = io.StringIO(newline='')
    writer = csv.writer(numbers)
    names = sorted({name for row in rows for score in row.scores for name in score})
    writer.writerow(['config', 'run', *names, 'parameters', 'multiply_adds', 'seconds'])
    for row in rows:
        for run, score in enumerate(row.scores):
            cells = [score.get(name, '') for name in names]
            writer.writerow([row.name, run, *cells, row.parameters, row.multiply_adds, f'{row.seconds:.6f}'])
    files = {
        'table.md': f'{compare(rows)}\n\n{told}\n\n![Mask AP, a dot a seed](plot.png)\n'.encode(),
        'results.csv': numbers.getvalue().encode(),
        'plot.png': draw_comparison(rows),
    }
    write_files(Path(folder), files, option='--work-dir')
