"""The first CenterMask (2019), whose boxes count their last pixel: width = x2 - x1 + 1.

Between the box head and the final results, boxes and ground truth keep to that rule; what goes in and what
comes out is as everywhere in mmdet, width = x2 - x1.
"""

import torch
from mmdet.models.task_modules.assigners import BboxOverlaps2D
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from torch import Tensor

from .adaptive_roi_extractor import AdaptiveRoIExtractor
from .centermask import CenterMask
from .centermask_head import CenterMaskHead
from .centermask_roi_head import CenterMaskRoIHead


def _add_to_end(boxes: Tensor, amount: float | tuple[float, float]) -> Tensor:
    """Add to x2 and y2 of boxes (..., 4); ``amount`` is one number or one for each."""
    x, y = amount if isinstance(amount, tuple) else (amount, amount)
    return boxes + boxes.new_tensor([0, 0, x, y])


@MODELS.register_module()
class FirstCenterMask(CenterMask):
    """The CenterMask of the paper's first code: learns from ground truth that counts its last pixel.

    Args: As CenterMask.
    """

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict:
        """Compute all losses, as CenterMask."""
        return super().loss(batch_inputs, [self._with_last_pixel(sample) for sample in batch_data_samples])

    @staticmethod
    def _with_last_pixel(sample):
        sample = sample.new()  # shallow: the caller's sample stays as it is
        for name in ('gt_instances', 'ignored_instances'):
            if name in sample:
                instances = sample.get(name).new()
                instances.bboxes = _add_to_end(instances.bboxes, -1)
                setattr(sample, name, instances)
        return sample


@MODELS.register_module()
class FirstCenterMaskHead(CenterMaskHead):
    """FCOS head of the first CenterMask.

    Distances are ``exp(scale * conv)`` in pixels, centerness comes from the class tower, the score is class
    probability times centerness, and boxes are clipped to the image before NMS. NMS counts the last pixel
    with ``nms=dict(..., offset=1)``.

    Args: As CenterMaskHead, with other defaults.
    """

    def __init__(
        self,
        *args,
        norm_on_bbox: bool = False,
        centerness_on_reg: bool = False,
        score_power: float = 1.0,
        **kwargs,
    ) -> None:
        super().__init__(
            *args, norm_on_bbox=norm_on_bbox, centerness_on_reg=centerness_on_reg, score_power=score_power, **kwargs
        )

    def _decode(self, points: Tensor, distances: Tensor, img_meta: dict) -> Tensor:
        boxes = super()._decode(points, distances, img_meta)
        height, width = img_meta['img_shape'][:2]
        x, y = boxes[:, 0::2].clamp(0, width - 1), boxes[:, 1::2].clamp(0, height - 1)
        return torch.stack([x, y], dim=2).flatten(1)


@MODELS.register_module()
class LastPixelRoIExtractor(AdaptiveRoIExtractor):
    """Eq. 2 with areas that count the last pixel; the features are those of the box as it is.

    Args: As AdaptiveRoIExtractor.
    """

    def map_roi_levels(self, rois: Tensor, image_areas: Tensor | float) -> Tensor:
        """Apply Eq. 2, as AdaptiveRoIExtractor."""
        return super().map_roi_levels(torch.cat([rois[:, :1], _add_to_end(rois[:, 1:], 1)], dim=1), image_areas)


@MODELS.register_module()
class FirstCenterMaskRoIHead(CenterMaskRoIHead):
    """Mask branch whose boxes count their last pixel; its results do not.

    Args: As CenterMaskRoIHead.
    """

    last_pixel = 1

    def _final_boxes(self, boxes: Tensor, img_meta: dict, rescale: bool) -> Tensor:
        # one pixel of the image that the result is for
        pixel = tuple(img_meta['scale_factor'][:2]) if rescale else 1
        return super()._final_boxes(_add_to_end(boxes, pixel), img_meta, rescale)


@TASK_UTILS.register_module()
class LastPixelOverlaps2D(BboxOverlaps2D):
    """IoU of boxes that count their last pixel.

    Args: As BboxOverlaps2D.
    """

    def __call__(self, bboxes1: Tensor, bboxes2: Tensor, mode: str = 'iou', is_aligned: bool = False) -> Tensor:
        """Compute the overlaps, as BboxOverlaps2D, of boxes (m, 4) and (n, 4)."""
        return super().__call__(_add_to_end(bboxes1[..., :4], 1), _add_to_end(bboxes2[..., :4], 1), mode, is_aligned)
