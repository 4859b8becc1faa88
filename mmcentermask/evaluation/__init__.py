"""mmdet's metrics that take masks in either form, and those of LVIS and Cityscapes with any NumPy."""

from .dump_rle import DumpRLE
from .instance_metrics import CityscapesInstanceMetric, CocoInstanceMetric, LVISInstanceMetric

__all__ = ['CityscapesInstanceMetric', 'CocoInstanceMetric', 'DumpRLE', 'LVISInstanceMetric']
