"""Drawings of objects and of runs: predictions beside the truth, loss and AP curves."""

import importlib

from .charts import draw_confusion, draw_curves, draw_errors, png_of, svg_of
from .drawing import draw_instances
from .run_log import RunLog, read_run_log
from .style import class_colors

# imported when they are asked for: they need torch and mmdet, which an exported model runs without
_WITH_TORCH = {'CenterMaskVisualizer': 'visualizer', 'LabelledImages': 'labelled_images'}

__all__ = [
    'RunLog',
    'class_colors',
    'draw_confusion',
    'draw_curves',
    'draw_errors',
    'draw_instances',
    'png_of',
    'read_run_log',
    'svg_of',
    *_WITH_TORCH,
]


def __getattr__(name: str) -> type:
    if name in _WITH_TORCH:
        return getattr(importlib.import_module(f'.{_WITH_TORCH[name]}', __name__), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
