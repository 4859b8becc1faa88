"""Drawings of objects and of runs: predictions beside the truth, loss and AP curves."""

from .curves import draw_curves
from .drawing import draw_instances
from .png import png_of
from .predictions import draw_predictions
from .run_log import RunLog, read_run_log
from .style import class_colors
from .visualizer import CenterMaskVisualizer

__all__ = [
    'CenterMaskVisualizer',
    'RunLog',
    'class_colors',
    'draw_curves',
    'draw_instances',
    'draw_predictions',
    'png_of',
    'read_run_log',
]
