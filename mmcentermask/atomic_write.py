"""The one way to write a file: at any moment its name holds the old content or the new one, never a part."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import InputError, OutputError

__all__ = ['UNFINISHED', 'atomic_write', 'check_writable', 'write_files']

UNFINISHED = '.unfinished'  # what a file's name ends with while it is written


@contextlib.contextmanager
def atomic_write(path: str | Path, hint: str = 'choose another place') -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path``, flush it to the disk at the end, and only then give it its name.

    Args:
        path (str or Path): The file; its folder is made where it is not there.
        hint (str): How to fix it, for the message. Defaults to 'choose another place'.

    Yields:
        BinaryIO: The open file. If the body raises, nothing is left behind and a file named ``path`` stays as it was.

    Raises:
        OutputError: If it cannot be written, as on a full disk.

    >>> with atomic_write('out/results.json') as file:  # doctest: +SKIP
    ...     file.write(json.dumps(results).encode())
    """
    path = Path(path)
    unfinished = path.with_name(f'{path.name}.{os.getpid()}{UNFINISHED}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(unfinished, 'wb') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the name without the content
        os.replace(unfinished, path)
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise OutputError(f'{path} cannot be written ({error.strerror or error}): {hint}.') from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def write_files(folder: str | Path, contents: dict[str, bytes], option: str = '--out') -> None:
    """Write several files with ``atomic_write``; none gets its name before all are written.

    Args:
        folder (str or Path): Made where it is not there.
        contents (dict): Name -> what the file holds.
        option (str): Of the command line, which names the folder, for the message. Defaults to ``'--out'``.

    Raises:
        OutputError: If the folder cannot be written to.
    """
    with contextlib.ExitStack() as files:  # a failure in one leaves every name as it was
        for name, content in contents.items():
            files.enter_context(atomic_write(Path(folder, name), f'name another folder with {option}')).write(content)


def check_writable(folder: str | Path, option: str = '--out-dir') -> None:
    """Check that files can be written to a folder or, where it is not there, that it can be made.

    Args:
        folder (str or Path): Nothing is left in it.
        option (str): Of the command line, which names the folder. Defaults to '--out-dir'.

    Raises:
        OutputError: If they cannot.
    """
    place = Path(folder).absolute()
    try:
        while not os.path.lexists(place):
            place = place.parent
        with tempfile.TemporaryDirectory(dir=place):
            pass
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise OutputError(f'cannot write to {folder} ({reason}): name another folder with {option}.') from error
