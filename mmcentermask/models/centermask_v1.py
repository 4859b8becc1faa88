"""CenterMaskV1: the first CenterMask (2019, on maskrcnn-benchmark), whose weights need its own conventions.

Between the box head and the final results its boxes have the legacy box offset of 1: x2 and y2 are the last pixel
inside, width = x2 - x1 + 1. Ground truth goes in and results come out as everywhere in mmdet, width = x2 - x1.
"""

import numpy as np
import pycocotools.mask as mask_util
import torch
from mmdet.models.task_modules.assigners import BboxOverlaps2D
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmdet.utils import InstanceList, reduce_mean
from mmengine.structures import InstanceData
from torch import Tensor

from mmcentermask.structures import paste_legacy

from .adaptive_roi_extractor import AdaptiveRoIExtractor
from .centermask import CenterMask
from .centermask_head import CenterMaskHead
from .centermask_iou_head import CenterMaskIoUHead
from .centermask_roi_head import CenterMaskRoIHead
from .sag_mask_head import SAGMaskHead


def _add_to_end(boxes: Tensor, amount: float | tuple[float, float]) -> Tensor:
    """Add to x2 and y2 of boxes (..., 4); ``amount`` is one number or one for each."""
    x, y = amount if isinstance(amount, tuple) else (amount, amount)
    return boxes + boxes.new_tensor([0, 0, x, y])


@MODELS.register_module()
class CenterMaskV1(CenterMask):
    """The first CenterMask: learns from ground truth with the legacy box offset.

    The pixel taken from a ground-truth box is one of the annotated image, x2 = (x + w - 1) * scale, as the original
    takes it before resizing.

    Args: As CenterMask.
    """

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict:
        """Compute all losses, as CenterMask."""
        return super().loss(batch_inputs, [self._with_offset(sample) for sample in batch_data_samples])

    @staticmethod
    def _with_offset(sample):
        sample = sample.new()  # shallow: the caller's sample stays as it is
        pixel = tuple(-scale for scale in sample.metainfo.get('scale_factor', (1, 1))[:2])
        for name in ('gt_instances', 'ignored_instances'):
            if name in sample:
                instances = sample.get(name).new()
                instances.bboxes = _add_to_end(instances.bboxes, pixel)
                setattr(sample, name, instances)
        return sample


@MODELS.register_module()
class CenterMaskV1Head(CenterMaskHead):
    """FCOS head of CenterMaskV1.

    - Distances are ``exp(scale * conv)`` in pixels; the score is class probability times centerness; boxes are clipped
      to the last pixels, W - 1 and H - 1, before NMS, which counts the legacy offset with ``nms=dict(..., offset=1)``.
    - The focal loss is divided by positive locations + images of the batch, and each process divides by its own counts.
    - A location inside of several boxes belongs to the smallest (x2 - x1 + 1)(y2 - y1 + 1).

    Args: As CenterMaskHead, with other defaults.
    """

    def __init__(self, *args, norm_on_bbox: bool = False, score_power: float = 1.0, **kwargs) -> None:
        super().__init__(*args, norm_on_bbox=norm_on_bbox, score_power=score_power, **kwargs)

    def loss_by_feat(
        self, cls_scores: list[Tensor], bbox_preds: list[Tensor], centernesses: list[Tensor],
        batch_gt_instances: InstanceList, *args, **kwargs,
    ) -> dict[str, Tensor]:  # fmt: skip
        """Compute the losses of FCOSHead, with the normalizers of the original.

        Args:
            cls_scores (list[Tensor]): Class logits, a level each, (N, K, H, W).
            bbox_preds (list[Tensor]): Distances, (N, 4, H, W), in pixels.
            centernesses (list[Tensor]): Centerness logits, (N, 1, H, W).
            batch_gt_instances (list[InstanceData]): ``bboxes`` (n, 4) with legacy offset and ``labels`` (n,).
            *args: As FCOSHead.
            **kwargs: As FCOSHead.

        Returns:
            dict[str, Tensor]: As FCOSHead.
        """
        losses = super().loss_by_feat(cls_scores, bbox_preds, centernesses, batch_gt_instances, *args, **kwargs)
        points = self.prior_generator.grid_priors(
            [scores.shape[-2:] for scores in cls_scores], dtype=bbox_preds[0].dtype, device=bbox_preds[0].device
        )
        labels, targets = (torch.cat(levels) for levels in self.get_targets(points, batch_gt_instances))
        positive = labels < self.num_classes
        # FCOSHead divides by positives and by their centerness, averaged over processes: back to those of this one
        own = torch.stack([positive.sum().float(), self.centerness_target(targets[positive]).sum()])
        shared, least = reduce_mean(own), own.new_tensor([1.0, 1e-6])
        to_own = torch.maximum(shared, least) / torch.maximum(own, least)
        images = len(cls_scores[0])
        losses['loss_cls'] = losses['loss_cls'] * torch.maximum(shared, least)[0] / (own[0] + images)
        losses['loss_bbox'] = losses['loss_bbox'] * to_own[1]
        losses['loss_centerness'] = losses['loss_centerness'] * to_own[0]
        return losses

    def _get_targets_single(self, gt_instances: InstanceData, *args, **kwargs) -> tuple[Tensor, Tensor]:
        sides = gt_instances.bboxes[:, 2:] - gt_instances.bboxes[:, :2]
        by_legacy_area = (sides + 1).prod(dim=1).argsort(stable=True)
        # FCOSHead chooses by the area without offset: right among boxes that both areas order alike
        descents = (sides.prod(dim=1)[by_legacy_area].diff() < 0).nonzero().flatten().cpu() + 1
        labels, targets = super()._get_targets_single(gt_instances[:0], *args, **kwargs)
        for inds in reversed(by_legacy_area.tensor_split(descents)):  # smaller boxes overwrite larger ones
            own_labels, own_targets = super()._get_targets_single(gt_instances[inds], *args, **kwargs)
            positive = own_labels < self.num_classes
            labels = torch.where(positive, own_labels, labels)
            targets = torch.where(positive[:, None], own_targets, targets)
        return labels, targets

    def _decode(self, points: Tensor, distances: Tensor, img_meta: dict) -> Tensor:
        boxes = super()._decode(points, distances, img_meta)
        height, width = img_meta['img_shape'][:2]
        x, y = boxes[:, 0::2].clamp(0, width - 1), boxes[:, 1::2].clamp(0, height - 1)
        return torch.stack([x, y], dim=2).flatten(1)


@MODELS.register_module()
class LegacyAdaptiveRoIExtractor(AdaptiveRoIExtractor):
    """Eq. 2 with areas that count the legacy offset; the features are those of the box as it is.

    Args: As AdaptiveRoIExtractor.
    """

    def map_roi_levels(self, rois: Tensor, image_areas: Tensor | float) -> Tensor:
        """Apply Eq. 2, as AdaptiveRoIExtractor."""
        return super().map_roi_levels(torch.cat([rois[:, :1], _add_to_end(rois[:, 1:], 1)], dim=1), image_areas)


@MODELS.register_module()
class CenterMaskV1RoIHead(CenterMaskRoIHead):
    """Mask branch on boxes with legacy offset; its final boxes are x1, y1, x2 + 1, y2 + 1 in pixels of the result.

    Args: As CenterMaskRoIHead.
    """

    def loss(self, x: tuple[Tensor, ...], proposals: InstanceList, batch_data_samples: SampleList) -> dict:
        """Compute the losses, as CenterMaskRoIHead, on polygons that know the size of their own image."""
        return super().loss(x, proposals, [self._unpadded(sample) for sample in batch_data_samples])

    @staticmethod
    def _unpadded(sample):
        masks = sample.gt_instances.get('masks')
        if not isinstance(masks, PolygonMasks):
            return sample
        sample = sample.new()
        sample.gt_instances = sample.gt_instances.new()
        sample.gt_instances.masks = PolygonMasks(masks.masks, *sample.metainfo['img_shape'][:2])
        return sample

    def to_edges(self, boxes: Tensor) -> Tensor:
        """Add the legacy offset to boxes (n, 4)."""
        return _add_to_end(boxes, 1)

    def from_edges(self, boxes: Tensor) -> Tensor:
        """Take the legacy offset from boxes (n, 4)."""
        return _add_to_end(boxes, -1)

    def finish(self, *args, **kwargs) -> InstanceList:
        """Clip, paste and score, as CenterMaskRoIHead; then add one pixel of the result to the boxes."""
        results_list = super().finish(*args, **kwargs)
        for results in results_list:
            results.bboxes = self.to_edges(results.bboxes)
        return results_list


@MODELS.register_module()
class CenterMaskV1MaskHead(SAGMaskHead):
    """SAGMaskHead that pastes as maskrcnn-benchmark does (``paste_legacy``), by which the official AP was measured.

    Pasting into the exact box is better (on 705 COCO objects cropped exactly and pasted back mean IoU 0.9374, with this
    0.9185): ``--cfg-options model.roi_head.mask_head.type=SAGMaskHead`` does so, with the same weights.

    Args: As SAGMaskHead.
    """

    def paste(
        self, maps: Tensor, boxes: Tensor, height: int, width: int, threshold: float, mask_format: str
    ) -> Tensor | list[dict]:
        """Paste masks of one image, as SAGMaskHead."""
        return paste_legacy(maps, boxes, height, width, threshold, mask_format)


@MODELS.register_module()
class CenterMaskV1IoUHead(CenterMaskIoUHead):
    """CenterMaskIoUHead whose targets count the visible share of an object as the original does.

    Args: As CenterMaskIoUHead.
    """

    def visible_ratios(
        self, boxes: np.ndarray, gt_inds: np.ndarray, gt_masks: BitmapMasks | PolygonMasks
    ) -> np.ndarray:
        """Return the share of its object that each RoI contains: pixel counts of the object's first polygon.

        Inside, the polygon is drawn on a canvas of int(y2 - y1) x int(x2 - x1) with the RoI's corner at 0. The whole
        is drawn in the rectangle around the RoI and the polygon, cut at the image. Both are counted by pycocotools.

        Args:
            boxes (np.ndarray): RoIs of shape (n, 4) in pixels, with legacy offset.
            gt_inds (np.ndarray): Index into ``gt_masks`` for each RoI, shape (n,).
            gt_masks (BitmapMasks or PolygonMasks): Masks of one image, of its size before padding.

        Returns:
            np.ndarray: Ratios of at least 1e-10, without an upper limit, shape (n,).
        """
        if not isinstance(gt_masks, PolygonMasks):
            return super().visible_ratios(boxes, gt_inds, gt_masks)
        last = np.array([gt_masks.width - 1, gt_masks.height - 1])
        ratios = np.zeros(len(boxes))
        for i, (box, gt_ind) in enumerate(zip(boxes, gt_inds)):
            points = gt_masks.masks[gt_ind][0].reshape(-1, 2)
            begin = np.minimum(box[:2].astype(int), points.min(axis=0)).clip(min=0)
            end = np.minimum(np.maximum(box[2:].astype(int) + 1, points.max(axis=0)), last)
            ratios[i] = _pixels(points - box[:2], box[2:] - box[:2]) / max(_pixels(points - begin, end - begin), 1e-10)
        return ratios.clip(min=1e-10)


def _pixels(points: np.ndarray, size: np.ndarray) -> int:
    """Count the pixels of a polygon (p, 2) on a canvas of the truncated width and height ``size``."""
    width, height = (int(side) for side in size)
    if width < 1 or height < 1:
        return 0
    return int(mask_util.area(mask_util.frPyObjects([points.ravel()], height, width)).sum())


@TASK_UTILS.register_module()
class LegacyBboxOverlaps2D(BboxOverlaps2D):
    """IoU of boxes with legacy offset.

    Args: As BboxOverlaps2D.
    """

    def __call__(self, bboxes1: Tensor, bboxes2: Tensor, mode: str = 'iou', is_aligned: bool = False) -> Tensor:
        """Compute the overlaps, as BboxOverlaps2D, of boxes (m, 4) and (n, 4)."""
        return super().__call__(_add_to_end(bboxes1[..., :4], 1), _add_to_end(bboxes2[..., :4], 1), mode, is_aligned)
