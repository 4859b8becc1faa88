"""Pictures of a run: loss and AP curves, predictions beside the truth."""

from .curves import draw_curves
from .png import png_of
from .predictions import draw_predictions
from .run_log import RunLog, read_run_log
from .visualizer import CenterMaskVisualizer

__all__ = ['CenterMaskVisualizer', 'RunLog', 'draw_curves', 'draw_predictions', 'png_of', 'read_run_log']
