"""The parts of CenterMask, registered in mmdet's registry."""

from .adaptive_roi_extractor import AdaptiveRoIExtractor
from .box_l1_loss import BoxL1Loss, BoxSmoothL1Loss
from .centermask import CenterMask
from .centermask_head import CenterMaskHead
from .centermask_iou_head import CenterMaskIoUHead
from .centermask_roi_head import CenterMaskRoIHead
from .centermask_tta import CenterMaskTTA
from .centermask_v1 import (
    CenterMaskV1,
    CenterMaskV1Head,
    CenterMaskV1IoUHead,
    CenterMaskV1MaskHead,
    CenterMaskV1RoIHead,
    LegacyAdaptiveRoIExtractor,
    LegacyBboxOverlaps2D,
)
from .crowd_centermask_head import CrowdCenterMaskHead
from .ese import EffectiveSE
from .htc_sag_mask_head import HTCSAGMaskHead
from .mask_dice_loss import MaskDiceLoss
from .mobilenet_v2 import TrimmedMobileNetV2
from .multi_scale_attention import MultiScaleSpatialAttention
from .panoptic_centermask import PanopticCenterMask
from .panoptic_fusion_head import PanopticFusionHead
from .sag_mask_head import SAGMaskHead, SpatialAttention
from .smoothed_giou_loss import SmoothedGIoULoss
from .stuff_head import StuffHead
from .vfnet_head import CenterMaskVFNetHead
from .vovnet import VoVNet

__all__ = [
    'AdaptiveRoIExtractor',
    'BoxL1Loss',
    'BoxSmoothL1Loss',
    'CenterMask',
    'CenterMaskHead',
    'CenterMaskIoUHead',
    'CenterMaskRoIHead',
    'CenterMaskTTA',
    'CrowdCenterMaskHead',
    'CenterMaskVFNetHead',
    'EffectiveSE',
    'CenterMaskV1',
    'CenterMaskV1Head',
    'CenterMaskV1IoUHead',
    'CenterMaskV1MaskHead',
    'CenterMaskV1RoIHead',
    'HTCSAGMaskHead',
    'LegacyBboxOverlaps2D',
    'LegacyAdaptiveRoIExtractor',
    'MaskDiceLoss',
    'MultiScaleSpatialAttention',
    'PanopticCenterMask',
    'PanopticFusionHead',
    'SAGMaskHead',
    'SmoothedGIoULoss',
    'SpatialAttention',
    'StuffHead',
    'TrimmedMobileNetV2',
    'VoVNet',
]
