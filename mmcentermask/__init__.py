"""CenterMask, CenterMask-Lite and CenterMask2 for MMDetection 3.x."""

import sys
import warnings

from .dependencies import import_dependencies, is_for_exported_models
from .version import __version__

__all__ = ['Segmenter', '__version__', 'find_config', 'find_weights', 'list_models', 'prepare_for_inference']

# Whoever has mmengine loaded, a config's custom_imports above all, expects the classes to be registered now, or to hear
# why not. Elsewhere a broken dependency raises at the first use, so that `python -m mmcentermask.doctor` starts.
_raise_now = 'mmengine' in sys.modules
_error = None
try:
    import_dependencies()
except ImportError as error:
    if _raise_now:
        raise
    _error = error
    if not is_for_exported_models():
        warnings.warn(str(error), stacklevel=2)
else:
    from . import datasets, engine, evaluation, models, registry  # noqa: F401 - registers the classes
    from .apis.fast_inference import prepare_for_inference
    from .checkpoints import register_schemes
    from .model_index import add_models_to_mmdet, find_config, find_weights, list_models
    from .visualization import visualizer  # noqa: F401

    register_schemes()
    add_models_to_mmdet()


def __getattr__(name: str):
    if name == 'Segmenter':  # imported late: for an exported file it needs nothing of the above
        from .runtime import Segmenter

        return Segmenter
    if _error is not None and not name.startswith('__'):
        raise ImportError(str(_error)) from _error
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
