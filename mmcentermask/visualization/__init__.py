"""Drawings of objects and of runs: predictions beside the truth, loss and AP curves."""

from .charts import draw_confusion, draw_curves, draw_errors, png_of, svg_of
from .drawing import draw_instances
from .run_log import RunLog, read_run_log
from .style import class_colors

__all__ = [
    'CenterMaskVisualizer',
    'RunLog',
    'class_colors',
    'draw_confusion',
    'draw_curves',
    'draw_errors',
    'draw_instances',
    'png_of',
    'read_run_log',
    'svg_of',
]


def __getattr__(name: str) -> type:
    if name == 'CenterMaskVisualizer':  # needs torch and mmdet, which an exported model runs without
        from .visualizer import CenterMaskVisualizer

        return CenterMaskVisualizer
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
