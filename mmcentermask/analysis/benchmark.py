"""The result of a benchmark: a table, its numbers as CSV, and a chart of the stages."""

import os
import statistics
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from mmcentermask.atomic_write import write_files
from mmcentermask.visualization import png_of

from .tables import csv_table, markdown_table
from .timing import STAGES


class BenchmarkResult(NamedTuple):
    """What was measured of one model; None is not known."""

    name: str
    runs: list[dict[str, float]]  # one a run: the seconds of each stage
    memory: int | None = None  # peak in bytes beyond what was in use before a run
    parameters: int | None = None
    macs: int | None = None  # multiply-adds of one run
    boxes: int | None = None  # found in an image

    def totals(self) -> list[float]:
        """Return the seconds of each run, without drawing, which is no part of it."""
        return [sum(seconds for stage, seconds in run.items() if stage != 'drawing') for run in self.runs]

    def median(self, stage: str) -> float | None:
        """Return the median of a stage in seconds, or None where the model has no such stage."""
        values = [run[stage] for run in self.runs if stage in run]
        return statistics.median(values) if values else None


def _stages(results: list[BenchmarkResult]) -> list[str]:
    known = [*STAGES, 'step', 'drawing']
    return [stage for stage in known if any(result.median(stage) is not None for result in results)]


def _text(value: float | None, format_spec: str, factor: float = 1) -> str:
    return '' if value is None else format(value * factor, format_spec)


def benchmark_table(results: list[BenchmarkResult]) -> str:
    """Return the table as Markdown: median times in milliseconds, with the least and the largest total in brackets.

    The first result is what the others are compared with.
    """
    stages, rows = _stages(results), []
    first = statistics.median(results[0].totals())
    for result in results:
        totals = result.totals()
        median = statistics.median(totals)
        rows.append(
            [
                result.name,
                f'{1000 * median:.1f} ({1000 * min(totals):.1f} to {1000 * max(totals):.1f})',
                f'{median / first:.3f}',
                *[_text(result.median(stage), '.1f', 1000) for stage in stages],
                _text(result.memory, '.0f', 2**-20),
                _text(result.boxes, 'd'),
                _text(result.parameters, ',d'),
                _text(result.macs, '.2f', 1e-9),
            ]
        )
    return markdown_table(['model', 'ms', 'to the first', *stages, 'MiB', 'boxes', 'parameters', 'GMACs'], rows)


def write_benchmark(folder: str | os.PathLike, results: list[BenchmarkResult], text: str) -> None:
    """Write ``table.md``, with ``text`` below the table, ``results.csv`` and ``times.png``.

    Raises:
        OutputError: If they cannot be written.
    """
    stages = _stages(results)
    rows = [
        [result.name, number, *[_text(run.get(stage), '.6f') for stage in stages], *result[2:]]
        for result in results
        for number, run in enumerate(result.runs)
    ]
    head = ['model', 'run', *[f'{stage} (s)' for stage in stages], 'bytes', 'parameters', 'multiply-adds', 'boxes']
    page = f'{benchmark_table(results)}\n\n{text}\n\n![Median times by stage](times.png)\n'
    files = {'table.md': page.encode(), 'results.csv': csv_table(head, rows), 'times.png': _chart(results)}
    write_files(folder, files)


def _chart(results: list[BenchmarkResult]) -> bytes:
    figure = Figure(figsize=(11, 1.6 + 0.45 * len(results)), layout='constrained')
    axes = figure.subplots()
    left = np.zeros(len(results))
    for stage in [stage for stage in _stages(results) if stage != 'drawing']:
        widths = np.array([1000 * (result.median(stage) or 0.0) for result in results])
        axes.barh(range(len(results)), widths, left=left, label=stage)
        left += widths
    for place, result in enumerate(results):
        totals = [1000 * total for total in result.totals()]
        median = statistics.median(totals)
        spread = [[median - min(totals)], [max(totals) - median]]
        axes.errorbar(median, place, xerr=spread, color='black', capsize=3, linewidth=1)
        axes.annotate(f' {median:.0f} ms', (max(totals), place), va='center')
    axes.set_yticks(range(len(results)), [result.name for result in results])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlim(left=0)
    axes.set_xlabel('median time of an image or step in ms, by stage; the line goes from the least to the largest')
    axes.grid(axis='x', alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc='outside upper center', ncols=5, frameon=False)
    return png_of(figure, dpi=120)
