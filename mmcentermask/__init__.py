"""CenterMask, CenterMask-Lite and CenterMask2 for MMDetection 3.x."""

import sys

from .version import __version__

# `python -m mmcentermask.doctor` imports this first, and must run where nothing else does
if sys.argv[:1] != ['-m'] or 'mmcentermask.doctor' not in sys.orig_argv:
    from .dependencies import check_dependencies

    check_dependencies()

    from . import datasets, engine, evaluation, models, registry, visualization  # noqa: F401 - registers the classes
    from .checkpoints.safe_loading import make_loading_safe
    from .inference import prepare_for_inference

    make_loading_safe()

__all__ = ['__version__', 'prepare_for_inference']
