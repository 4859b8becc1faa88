"""Compares models: what they cost, how fast they are, and what they learn under equal conditions."""

from .ablation_runs import set_iterations, train_once
from .benchmark import Measured, TestedModel, TrainedModel, peak_memory, table_of, write_measured
from .benchmark_data import draw_picture, make_training_batch, test_pipeline
from .comparison import Row, compare, draw_comparison, write_comparison
from .machine import hardware, versions
from .mask_benchmark import FoundMasks, MaskPasting, draw_found, read_found
from .model_cost import count_multiply_adds, count_parameters, network_pass
from .stage_clock import STAGES, StageClock
from .turns import measure, median_times
from .untrained_model import build_untrained, drop_pretrained, leave_best_boxes

__all__ = [
    'STAGES',
    'FoundMasks',
    'MaskPasting',
    'Measured',
    'Row',
    'StageClock',
    'TestedModel',
    'TrainedModel',
    'build_untrained',
    'compare',
    'count_multiply_adds',
    'count_parameters',
    'draw_comparison',
    'draw_found',
    'draw_picture',
    'drop_pretrained',
    'hardware',
    'leave_best_boxes',
    'make_training_batch',
    'measure',
    'median_times',
    'network_pass',
    'peak_memory',
    'read_found',
    'set_iterations',
    'table_of',
    'test_pipeline',
    'train_once',
    'versions',
    'write_comparison',
    'write_measured',
]
