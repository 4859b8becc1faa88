"""The parts of CenterMask, registered in mmdet's registry."""

from .adaptive_roi_extractor import AdaptiveRoIExtractor
from .centermask import CenterMask
from .centermask_head import CenterMaskHead
from .centermask_iou_head import CenterMaskIoUHead
from .centermask_roi_head import CenterMaskRoIHead
from .centermask_tta import CenterMaskTTA
from .ese import EffectiveSE
from .first_centermask import (
    FirstCenterMask,
    FirstCenterMaskHead,
    FirstCenterMaskRoIHead,
    LastPixelOverlaps2D,
    LastPixelRoIExtractor,
)
from .mobilenet_v2 import TrimmedMobileNetV2
from .sag_mask_head import SAGMaskHead, SpatialAttention
from .smoothed_giou_loss import SmoothedGIoULoss
from .vovnet import VoVNet

__all__ = [
    'AdaptiveRoIExtractor',
    'CenterMask',
    'CenterMaskHead',
    'CenterMaskIoUHead',
    'CenterMaskRoIHead',
    'CenterMaskTTA',
    'EffectiveSE',
    'FirstCenterMask',
    'FirstCenterMaskHead',
    'FirstCenterMaskRoIHead',
    'LastPixelOverlaps2D',
    'LastPixelRoIExtractor',
    'SAGMaskHead',
    'SmoothedGIoULoss',
    'SpatialAttention',
    'TrimmedMobileNetV2',
    'VoVNet',
]
