"""Tables of a comparison."""

import csv
import io
from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    first, *others = ['| ' + ' | '.join(cells) + ' |' for cells in [head, *rows]]
    return '\n'.join([first, '|---' * len(head) + '|', *others])


def csv_table(head: Sequence[str], rows: Iterable[Sequence]) -> bytes:
    """Return a table as CSV; None is an empty cell."""
    file = io.StringIO(newline='')
    csv.writer(file).writerows([head, *rows])
    return file.getvalue().encode()
