"""A file backend for mmengine whose files are written atomically."""

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from ..atomic_write import atomic_write

__all__ = ['AtomicBackend']

_HINT = 'make room or set permissions there, and go on with --resume; earlier files are intact'


@register_backend('atomic')
class AtomicBackend(LocalBackend):
    """mmengine's LocalBackend, chosen by ``backend_args=dict(backend='atomic')``, that writes with ``atomic_write``."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; raise OutputError if they cannot be written."""
        with atomic_write(filepath, hint=_HINT) as file:
            file.write(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text, as ``put`` does."""
        self.put(obj.encode(encoding), filepath)
