"""Writes local files whole: at any moment a name holds the old content or the new one, never a part."""

import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from ..apis.errors import OutputError

__all__ = ['UNFINISHED', 'WholeFileBackend', 'write_whole']

UNFINISHED = '.unfinished'  # what a file's name ends with while it is written


def write_whole(content: bytes, path: str | Path) -> None:
    """Write a file under another name, bring it to the disk, and only then give it its name.

    Args:
        content (bytes): The whole content.
        path (str or Path): The file; its folder is made where it is not there.

    Raises:
        OutputError: If it cannot be written, as on a full disk. A file of that name stays as it was.
    """
    path = Path(path)
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(unfinished, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave the name without the content
        os.replace(unfinished, path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise OutputError(
            f'{path} cannot be written ({error.strerror or error}): make room there or mend that, and go on with '
            '--resume; the files that were there before are intact.'
        ) from error


@register_backend('whole_file')
class WholeFileBackend(LocalBackend):
    """mmengine's LocalBackend, chosen by ``backend_args=dict(backend='whole_file')``, that writes files whole."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes, as ``write_whole`` does.

        Args:
            obj (bytes): The whole content.
            filepath (str or Path): The file.
        """
        write_whole(obj, filepath)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text, as ``write_whole`` does.

        Args:
            obj (str): The whole content.
            filepath (str or Path): The file.
            encoding (str): Defaults to 'utf-8'.
        """
        write_whole(obj.encode(encoding), filepath)
