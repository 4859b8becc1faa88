"""Pictures of a run: loss and AP curves, predictions beside the truth."""

from .curves import draw_curves
from .predictions import draw_predictions
from .run_log import RunLog, read_run_log

__all__ = ['RunLog', 'draw_curves', 'draw_predictions', 'read_run_log']
