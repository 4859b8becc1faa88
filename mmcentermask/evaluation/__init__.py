"""mmdet's metrics that take masks in either form, and those of LVIS and Cityscapes with any NumPy."""

from .dump_run_lengths import DumpRunLengths
from .instance_metrics import CityscapesInstanceMetric, CocoInstanceMetric, LVISInstanceMetric

__all__ = ['CityscapesInstanceMetric', 'CocoInstanceMetric', 'DumpRunLengths', 'LVISInstanceMetric']
