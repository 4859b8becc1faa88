"""What may stand in a COCO file, and how messages show what stands there instead."""

import json
from collections.abc import Sequence
from typing import Any

__all__ = ['LARGEST', 'found_in', 'is_flag', 'is_id', 'is_name', 'is_number', 'is_side', 'listed', 'printable', 'shown']

LARGEST = 1e9  # of a coordinate, in absolute value


def is_number(value: Any) -> bool:
    """Whether it is a finite number of a sensible magnitude."""
    return type(value) in (int, float) and -LARGEST < value < LARGEST  # NaN is neither


def is_id(value: Any) -> bool:
    """Whether it is text or a whole number."""
    kind = type(value)
    if kind is int:
        return -(2**63) <= value < 2**63
    return kind is str or (kind is float and value.is_integer() and abs(value) < 2**53)


def is_flag(value: Any) -> bool:
    """Whether it is 0, 1, false or true: as text, '0' would be true."""
    return type(value) in (int, float, bool) and value in (0, 1)


def is_side(value: Any) -> bool:
    """Whether it is a number of pixels."""
    return is_number(value) and value >= 1 and value == int(value)


def is_name(value: Any) -> bool:
    """Whether it is a file name."""
    return isinstance(value, str) and value != '' and '\0' not in value


def printable(value: Any, width: int = 60) -> str:
    """Write a value of the file, in one line that can do nothing to a terminal, an image or a table.

    It gets ``width`` characters at most; the end is kept, where names differ.
    """
    text = value if isinstance(value, str) else repr(value)
    if len(text) > width:
        text = '...' + text[3 - width :]
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)


def shown(value: Any, width: int = 40) -> str:
    """Write a value as it stands in the JSON file, text with its quotes; the beginning is kept."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return printable(text if len(text) <= width else text[: width - 3] + '...', width)


def listed(names: Sequence[str]) -> str:
    """Write class names as Python would, with the comma that one name needs."""
    text = ', '.join(map(repr, names[:6]))
    return f'({text}, ...)' if len(names) > 6 else f'({text},)' if len(names) == 1 else f'({text})'


def found_in(entry: dict, key: str) -> str:
    """Say what stands in an entry.

    >>> found_in(dict(iscrowd='0'), 'iscrowd')
    'iscrowd is "0"'
    """
    return f'{key} is {shown(entry[key])}' if key in entry else f'no {key}'
