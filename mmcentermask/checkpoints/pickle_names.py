"""Finds out what a pickle would import, without unpickling it."""

import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ['imported_names']


def imported_names(path: str | Path) -> list[str]:
    """List the functions and classes that a pickle names, be it a bare one or one inside of what torch.save wrote.

    Args:
        path (str or Path): A local file.

    Returns:
        list[str]: Such as ``'posix.system'``, in the order of the file; empty if it is no pickle. Of a damaged file,
            those before the damage.
    """
    names: dict[str, None] = {}
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for entry in archive.namelist():
                    if entry.endswith('.pkl'):
                        with archive.open(entry) as stream:
                            names.update(dict.fromkeys(_names(stream)))
        else:
            with open(path, 'rb') as stream:
                while stream.peek(1):  # torch's older format is several pickles in a row, then numbers
                    names.update(dict.fromkeys(_names(stream)))
    except Exception:  # noqa: BLE001 - this only words a message, and a hostile file can fail in any way
        pass
    return list(names)


def _names(stream: IO[bytes]) -> Iterator[str]:
    """Yield the names of one pickle; newer protocols keep module and name as the last two strings."""
    strings, memo = [], {}
    for opcode, arg, _ in pickletools.genops(stream):
        if opcode.name in ('GLOBAL', 'INST'):
            yield arg.replace(' ', '.')
        elif opcode.name == 'STACK_GLOBAL':
            yield '.'.join(strings[-2:])
        elif 'UNICODE' in opcode.name:
            strings.append(arg)
        elif opcode.name == 'MEMOIZE':
            memo[len(memo)] = strings[-1] if strings else ''
        elif 'PUT' in opcode.name:
            memo[arg] = strings[-1] if strings else ''
        elif 'GET' in opcode.name:
            strings.append(memo.get(arg, ''))
