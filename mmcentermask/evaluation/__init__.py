"""mmdet's metrics that take masks in either form, those of LVIS and Cityscapes with any NumPy, and panoptic quality."""

from .dump_rle import DumpRLE
from .error_analysis import analyze_results
from .fast_coco_eval import FastCOCOeval
from .instance_metrics import CityscapesInstanceMetric, CocoInstanceMetric, LVISInstanceMetric
from .panoptic_quality_metric import PanopticQualityMetric

__all__ = [
    'CityscapesInstanceMetric',
    'CocoInstanceMetric',
    'DumpRLE',
    'FastCOCOeval',
    'LVISInstanceMetric',
    'PanopticQualityMetric',
    'analyze_results',
]
