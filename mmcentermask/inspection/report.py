"""Says what was found: tables for the terminal, JSON and CSV for programs."""

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from typing import Any

from terminaltables import AsciiTable

from .checker import Inspection
from .findings import KINDS, Finding, printable

__all__ = ['summarize', 'tables_of', 'where']

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


def _entry(content: dict[str, Any], table: str, index: int | None, key: str) -> Any:
    """Return a value of an entry, None where there is none."""
    entry = content[table][index] if index is not None else None
    return entry.get(key) if isinstance(entry, dict) else None


def _plain(value: Any) -> str | int | None:
    """Write what stands in the place of an id or a name as text: NaN is no JSON, and lists may be too deep for it."""
    return value if value is None or isinstance(value, str | int) else printable(value)


def where(finding: Finding, content: dict[str, Any]) -> str:
    """Name the image, the object or the category of a finding.

    Args:
        finding (Finding): The finding.
        content (dict): Of the annotation file.

    Returns:
        str: Such as ``object 17 in 000001.jpg``.
    """
    places = []
    for title, table, key, index in (
        ('category', 'categories', 'name', finding.category),
        ('object', 'annotations', 'id', finding.annotation),
        ('image', 'images', 'file_name', finding.image),
    ):
        if index is None:
            continue
        value = _entry(content, table, index, key)
        name = f'{table}[{index}]' if value is None else printable(value, 40)
        places.append(name if title == 'image' and value is not None else f'{title} {name}')
    return ' in '.join(places)


def summarize(inspection: Inspection, examples: int = 3) -> str:
    """Write what was found as a table, a row a kind.

    Args:
        inspection (Inspection): What was found.
        examples (int): How many findings of a kind to name. Defaults to 3.

    Returns:
        str: Lines for the terminal.
    """
    content, findings = inspection.content, inspection.findings
    found = findings.by_kind()
    numbers = ', '.join(f'{len(content[name])} {name}' for name in ('images', 'annotations', 'categories'))
    lines = [f'{inspection.name}: {printable(inspection.ann_file, 200)} ({numbers})']
    sentences = [finding.detail for finding in found.pop('classes', [])]
    if found:
        rows = [['', 'number', 'what, and how to mend it', 'for example']]
        for kind, those in found.items():
            named = [
                where(finding, content) + f': {finding.detail}' * bool(finding.detail) for finding in those[:examples]
            ]
            rows.append(
                [
                    'error' if KINDS[kind].error else 'warning',
                    str(len(those)),
                    textwrap.fill(f'{KINDS[kind].text} ({KINDS[kind].mend})', _WIDTHS[0]),
                    '\n'.join(textwrap.fill(example, _WIDTHS[1], subsequent_indent='  ') for example in named),
                ]
            )
        table = AsciiTable(rows)
        table.inner_row_border = True
        lines.append(table.table)
    lines += [f'error: {sentence}' for sentence in sentences]
    counts = findings.counts
    lines.append(f'{inspection.name}: {counts["errors"]} errors, {counts["warnings"]} warnings')
    return '\n'.join(lines)


def tables_of(inspections: Sequence[Inspection]) -> dict[str, bytes]:
    """Write every finding for programs.

    Args:
        inspections (Sequence[Inspection]): What was found.

    Returns:
        dict: The contents of ``findings.json`` and ``findings.csv``.
    """
    rows = []
    for inspection in inspections:
        content = inspection.content
        for kind, those in inspection.findings.by_kind().items():
            for finding in those:
                rows.append(
                    {
                        'dataset': inspection.name,
                        'level': 'error' if finding.error else 'warning',
                        'kind': kind,
                        'image_id': _plain(_entry(content, 'images', finding.image, 'id')),
                        'file_name': _plain(_entry(content, 'images', finding.image, 'file_name')),
                        'annotation_id': _plain(_entry(content, 'annotations', finding.annotation, 'id')),
                        'annotation_index': finding.annotation,
                        'category': _plain(_entry(content, 'categories', finding.category, 'name')),
                        'detail': finding.detail,
                    }
                )
    text = io.StringIO(newline='')
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(
        {key: value if value is None else printable(value, 1000) for key, value in row.items()} for row in rows
    )
    summary = {
        inspection.name: {
            'ann_file': inspection.ann_file,
            **{name: inspection.findings.counts[name] for name in ('errors', 'warnings')},
            'kinds': {kind: len(those) for kind, those in inspection.findings.by_kind().items()},
        }
        for inspection in inspections
    }
    content = json.dumps({'summary': summary, 'findings': rows}, indent=1)
    return {'findings.json': content.encode(), 'findings.csv': text.getvalue().encode('utf-8', 'backslashreplace')}
