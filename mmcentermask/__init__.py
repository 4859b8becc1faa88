"""CenterMask, CenterMask-Lite and CenterMask2 for MMDetection 3.x."""

from .dependencies import check_dependencies
from .version import __version__

check_dependencies()

from . import datasets, engine, models  # noqa: E402, F401 - registers the classes
from .checkpoints.safe_loading import make_loading_safe  # noqa: E402

make_loading_safe()

__all__ = ['__version__']
