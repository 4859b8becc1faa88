"""Compares models: their cost and their speed."""

from .benchmark import BenchmarkResult, benchmark_table, write_benchmark
from .machine import hardware, peak_memory, versions
from .model_cost import count_macs, count_parameters, network_pass
from .runs import ExportedRun, InferenceRun, TrainingRun
from .tables import markdown_table
from .timing import STAGES, StageTimer, time_interleaved
from .workloads import build_untrained, draw_image, leave_best_boxes, make_training_batch, test_pipeline

__all__ = [
    'STAGES',
    'BenchmarkResult',
    'ExportedRun',
    'InferenceRun',
    'StageTimer',
    'TrainingRun',
    'benchmark_table',
    'build_untrained',
    'count_macs',
    'count_parameters',
    'draw_image',
    'hardware',
    'leave_best_boxes',
    'make_training_batch',
    'markdown_table',
    'network_pass',
    'peak_memory',
    'test_pipeline',
    'time_interleaved',
    'versions',
    'write_benchmark',
]
