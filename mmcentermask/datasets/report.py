"""Says what was found in a dataset: sentences, tables for the terminal, JSON and CSV for programs."""

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from typing import Any

from terminaltables import AsciiTable

from .annotation_tables import CocoTables
from .inspection import Inspection
from .rules import RULES, Finding
from .values import printable, shown

__all__ = ['sentence', 'summarize', 'tables_of']

_PLACES = (
    ('category', 'categories', 'name'),
    ('annotation', 'annotations', 'id'),
    ('image', 'images', 'file_name'),
)
_COLUMNS = (
    'dataset',
    'level',
    'kind',
    'image_id',
    'file_name',
    'annotation_id',
    'annotation_index',
    'category',
    'detail',
)
_WIDTHS = 36, 60  # characters of a table's columns


def _value(tables: CocoTables, table: str, index: int | None, key: str) -> Any:
    """Return a value of an entry, None where there is none."""
    return None if index is None else getattr(tables, table)[index].get(key)


def _where(finding: Finding, tables: CocoTables) -> str:
    """Name the category, the object or the image of a finding, such as ``annotations[3] (id 17) in 000001.jpg``."""
    places = []
    for place, table, key in _PLACES:
        index = getattr(finding, place)
        if index is None:
            continue
        value = _value(tables, table, index, key)
        if place == 'image' and isinstance(value, str):
            places.append(printable(value, 40) if places else f'{table}[{index}] ({printable(value, 40)})')
        else:
            places.append(f'{table}[{index}]' + (f' ({key} {shown(value)})' if value is not None else ''))
    return ' in '.join(places)


def sentence(inspection: Inspection, name: str) -> str:
    """Write what a rule found as one sentence: where first, what, how often, and how to put it right.

    Args:
        inspection (Inspection): What was found.
        name (str): Name of a rule that found something.

    Returns:
        str: For the user.
    """
    found, rule, path = inspection.found[name], RULES[name], printable(inspection.split.ann_file, 200)
    first = found[0]
    if not rule.hint:
        return f'{first.detail}.'
    where = _where(first, inspection.tables)
    more = f' (and {len(found) - 1} more)' if len(found) > 1 else ''
    what = f'{rule.text}: {first.detail}' if first.detail else rule.text
    return f'{path}: {f"{where}: " if where else ""}{what}{more}; {rule.hint}.'


def summarize(inspection: Inspection, examples: int = 3) -> str:
    """Write what was found as a table, a row a rule.

    Args:
        inspection (Inspection): What was found.
        examples (int): How many findings of a rule to name. Defaults to 3.

    Returns:
        str: Lines for the terminal.
    """
    tables, split, found = inspection.tables, inspection.split, dict(inspection.found)
    numbers = ', '.join(f'{len(getattr(tables, name))} {name}' for name in ('images', 'annotations', 'categories'))
    lines = [f'{split.name}: {printable(split.ann_file, 200)} ({numbers})']
    sentences = [finding.detail for finding in found.pop('classes', [])]
    if found:
        rows = [['', 'number', 'what, and how to put it right', 'for example']]
        for name, those in found.items():
            named = [': '.join(filter(None, (_where(f, tables), f.detail))) for f in those[:examples]]
            rows.append(
                [
                    'error' if inspection.is_error(name) else 'warning',
                    str(len(those)),
                    textwrap.fill(f'{RULES[name].text} ({RULES[name].hint})', _WIDTHS[0]),
                    '\n'.join(
                        textwrap.fill(printable(line, 1000), _WIDTHS[1], subsequent_indent='  ') for line in named
                    ),
                ]
            )
        table = AsciiTable(rows)
        table.inner_row_border = True
        lines.append(table.table)
    lines += [f'error: {printable(line, 1000)}' for line in sentences]
    lines.append(f'{split.name}: {inspection.count(errors=True)} errors, {inspection.count(errors=False)} warnings')
    return '\n'.join(lines)


def _plain(value: Any) -> str | int | None:
    """Write what stands in the place of an id or a name as text: NaN is no JSON, and lists may be too deep for it."""
    return value if value is None or isinstance(value, str | int) else printable(value)


def _rows(inspection: Inspection) -> list[dict[str, Any]]:
    tables = inspection.tables
    return [
        {
            'dataset': inspection.split.name,
            'level': 'error' if inspection.is_error(name) else 'warning',
            'kind': name,
            'image_id': _plain(_value(tables, 'images', finding.image, 'id')),
            'file_name': _plain(_value(tables, 'images', finding.image, 'file_name')),
            'annotation_id': _plain(_value(tables, 'annotations', finding.annotation, 'id')),
            'annotation_index': finding.annotation,
            'category': _plain(_value(tables, 'categories', finding.category, 'name')),
            'detail': finding.detail,
        }
        for name, those in inspection.found.items()
        for finding in those
    ]


def tables_of(inspections: Sequence[Inspection]) -> dict[str, bytes]:
    """Write every finding for programs.

    Args:
        inspections (Sequence[Inspection]): What was found.

    Returns:
        dict: The contents of ``findings.json`` and ``findings.csv``.
    """
    rows = [row for inspection in inspections for row in _rows(inspection)]
    text = io.StringIO(newline='')
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    for row in rows:
        writer.writerow({key: value if value is None else printable(value, 1000) for key, value in row.items()})
    summary = {
        inspection.split.name: {
            'ann_file': inspection.split.ann_file,
            'errors': inspection.count(errors=True),
            'warnings': inspection.count(errors=False),
            'kinds': {name: len(those) for name, those in inspection.found.items()},
        }
        for inspection in inspections
    }
    content = json.dumps({'summary': summary, 'findings': rows}, indent=1)
    return {'findings.json': content.encode(), 'findings.csv': text.getvalue().encode('utf-8', 'backslashreplace')}
