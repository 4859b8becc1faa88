"""Compares models: their cost, their speed, and what they learn under equal conditions."""

from .ablation import AblationResult, compare, set_iterations, train_once, write_comparison
from .benchmark import BenchmarkResult, benchmark_table, write_benchmark
from .machine import hardware, peak_memory, versions
from .mask_benchmark import MaskLogits, MaskPastingRun, draw_mask_logits, read_mask_logits
from .model_cost import count_macs, count_parameters, network_pass
from .mosaic import Matches, make_mosaic, match_masks
from .runs import ExportedRun, InferenceRun, TrainingRun
from .tables import markdown_table
from .timing import STAGES, StageTimer, time_interleaved
from .workloads import build_untrained, draw_image, leave_best_boxes, make_training_batch, test_pipeline

__all__ = [
    'STAGES',
    'AblationResult',
    'BenchmarkResult',
    'ExportedRun',
    'InferenceRun',
    'MaskLogits',
    'MaskPastingRun',
    'Matches',
    'StageTimer',
    'TrainingRun',
    'benchmark_table',
    'build_untrained',
    'compare',
    'count_macs',
    'count_parameters',
    'draw_image',
    'draw_mask_logits',
    'hardware',
    'leave_best_boxes',
    'make_mosaic',
    'make_training_batch',
    'markdown_table',
    'match_masks',
    'network_pass',
    'peak_memory',
    'read_mask_logits',
    'set_iterations',
    'test_pipeline',
    'time_interleaved',
    'train_once',
    'versions',
    'write_benchmark',
    'write_comparison',
]
