"""Says what was found in a dataset: sentences, tables for the terminal, JSON and CSV for programs."""

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from typing import Any

from terminaltables import AsciiTable

from .annotation_tables import TABLES, CocoTables, Finding
from .inspection import Inspection
from .rules import RULES
from .values import printable, shown

__all__ = ['sentence', 'summarize', 'tables_of']

_WIDTHS = 36, 60  # characters of a table's columns


def _where(finding: Finding, tables: CocoTables) -> str:
    """Name the category, the object or the image of a finding, such as ``annotations[3] (id 17) in 000001.jpg``."""
    places = []
    for place, key in (('category', 'name'), ('annotation', 'id'), ('image', 'file_name')):
        index = getattr(finding, place)
        if index is None:
            continue
        value = tables.lists[place][index].get(key)
        if place == 'image' and isinstance(value, str):
            value = printable(value, 40)
            places.append(value if places else f'images[{index}] ({value})')
        else:
            places.append(f'{TABLES[place]}[{index}]' + (f' ({key} {shown(value)})' if value is not None else ''))
    return ' in '.join(places)


def sentence(inspection: Inspection, name: str) -> str:
    """Write what a rule, by its name, found as one sentence: where first, what, how often, and how to put it right."""
    first, *others = inspection.found[name]
    rule = RULES[name]
    if not rule.hint:
        return f'{first.detail}.'
    where = _where(first, inspection.tables)
    parts = [printable(inspection.split.ann_file, 200), where, rule.text, first.detail]
    more = f' (and {len(others)} more)' if others else ''
    return f'{": ".join(filter(None, parts))}{more}; {rule.hint}.'


def summarize(inspection: Inspection, examples: int = 3) -> str:
    """Write what was found as a table for the terminal, a row a rule, with so many examples each."""
    tables, split, found = inspection.tables, inspection.split, dict(inspection.found)
    numbers = ', '.join(f'{len(getattr(tables, name))} {name}' for name in ('images', 'annotations', 'categories'))
    lines = [f'{split.name}: {printable(split.ann_file, 200)} ({numbers})']
    sentences = [finding.detail for finding in found.pop('classes', [])]
    rows = [['', 'number', 'what, and how to put it right', 'for example']]
    for name, those in found.items():
        level = 'error' if inspection.is_error(name) else 'warning'
        what = textwrap.fill(f'{RULES[name].text} ({RULES[name].hint})', _WIDTHS[0])
        named = [': '.join(filter(None, (_where(f, tables), f.detail))) for f in those[:examples]]
        named = [textwrap.fill(printable(line, 1000), _WIDTHS[1], subsequent_indent='  ') for line in named]
        rows.append([level, str(len(those)), what, '\n'.join(named)])
    if found:
        table = AsciiTable(rows)
        table.inner_row_border = True
        lines.append(table.table)
    lines += [f'error: {printable(line, 1000)}' for line in sentences]
    lines.append(f'{split.name}: {inspection.count(errors=True)} errors, {inspection.count(errors=False)} warnings')
    return '\n'.join(lines)


def _row(inspection: Inspection, finding: Finding) -> dict[str, Any]:
    """Return a row of the tables; what stands in the place of an id or a name is text: NaN is no JSON."""

    def value(place: str, key: str) -> str | int | None:
        index = getattr(finding, place)
        found = None if index is None else inspection.tables.lists[place][index].get(key)
        return found if found is None or isinstance(found, str | int) else printable(found)

    return dict(
        dataset=inspection.split.name,
        level='error' if inspection.is_error(finding.rule) else 'warning',
        kind=finding.rule,
        image_id=value('image', 'id'),
        file_name=value('image', 'file_name'),
        annotation_id=value('annotation', 'id'),
        annotation_index=finding.annotation,
        category=value('category', 'name'),
        detail=finding.detail,
    )


def tables_of(inspections: Sequence[Inspection]) -> dict[str, bytes]:
    """Write every finding for programs; return the contents of ``findings.json`` and ``findings.csv``."""
    rows = [_row(inspection, f) for inspection in inspections for those in inspection.found.values() for f in those]
    text = io.StringIO(newline='')
    # with the names of the columns, even where nothing was found
    writer = csv.DictWriter(text, _row(inspections[0], Finding('classes')))
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
