"""Writes the files of a command whole or not at all."""

import os
import tempfile
from pathlib import Path

from ..errors import InputError

__all__ = ['write_files']


def write_files(out: Path, contents: dict[str, bytes], option: str = '--out') -> None:
    """Write files by way of temporary names, so that each is either the old or the new one.

    Args:
        out (Path): The folder, made where it is not there.
        contents (dict): Name -> what the file holds.
        option (str): Of the command line, which names the folder. Defaults to ``'--out'``.

    Raises:
        InputError: If the folder cannot be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix='.unfinished-', dir=out) as folder:
            for name, content in contents.items():
                Path(folder, name).write_bytes(content)
            for name in contents:
                os.replace(Path(folder, name), out / name)
    except OSError as error:
        raise InputError(f'cannot write to {out} ({error.strerror}): name another folder with {option}.') from error
