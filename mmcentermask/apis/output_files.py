"""Writes the files of a command whole or not at all."""

import contextlib
from pathlib import Path

from ..atomic_write import atomic_write

__all__ = ['write_files']


def write_files(out: Path, contents: dict[str, bytes], option: str = '--out') -> None:
    """Write files with ``atomic_write``, and give none its name before all are written.

    Args:
        out (Path): The folder, made where it is not there.
        contents (dict): Name -> what the file holds.
        option (str): Of the command line, which names the folder. Defaults to ``'--out'``.

    Raises:
        OutputError: If the folder cannot be written to.
    """
    hint = f'name another folder with {option}'
    with contextlib.ExitStack() as files:  # a failure in one leaves every name as it was
        for name, content in contents.items():
            files.enter_context(atomic_write(out / name, hint)).write(content)
