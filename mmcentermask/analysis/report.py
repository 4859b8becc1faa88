"""Tables, figures and files of a comparison."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmcentermask.atomic_write import atomic_write

__all__ = ['csv_table', 'markdown_table', 'new_figure', 'write_report']


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    lines = ['| ' + ' | '.join(cells) + ' |' for cells in [head, *rows]]
    return '\n'.join([lines[0], '|---' * len(head) + '|', *lines[1:]])


def csv_table(head: Sequence[str], rows: Iterable[Sequence]) -> bytes:
    """Return a table as CSV; None is an empty cell."""
    file = io.StringIO(newline='')
    csv.writer(file).writerows([head, *rows])
    return file.getvalue().encode()


def new_figure(height: float) -> Figure:
    """Make a figure, 11 inches wide, that belongs to no pyplot: nothing global changes and no display is needed."""
    figure = Figure(figsize=(11, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def write_report(folder: str | os.PathLike, files: dict[str, bytes], option: str) -> None:
    """Write files (name -> content) to a folder, which an option of the command line names.

    Raises:
        OutputError: If they cannot be written.
    """
    for name, content in files.items():
        with atomic_write(Path(folder, name), hint=f'name another folder with {option}') as file:
            file.write(content)
