"""Mask scoring that leaves the box score alone (Mask Scoring R-CNN, in CenterMask's form)."""

import numpy as np
import pycocotools.mask as mask_util
from mmdet.models.roi_heads.mask_heads import MaskIoUHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from torch import Tensor

from .fp16_clamp import ClampedReLU


def _polygon_pixels(boxes: np.ndarray, gt_inds: np.ndarray, gt_masks: PolygonMasks) -> tuple[np.ndarray, np.ndarray]:
    """Count the pixels of each box's polygons in the box, and compute the area of the polygons: (n,) and (n,)."""
    inside = np.zeros(len(boxes))
    # a call for each box: canvases differ in size, and nearly all of the time goes into drawing the polygons
    for i, (box, gt_ind) in enumerate(zip(boxes, gt_inds)):
        width, height = int(box[2] - box[0]), int(box[3] - box[1])
        if width > 0 and height > 0:
            parts = [(part.reshape(-1, 2) - box[:2]).ravel() for part in gt_masks.masks[gt_ind]]
            inside[i] = mask_util.area(mask_util.frPyObjects(parts, height, width)).sum()
    return inside, gt_masks.areas[gt_inds]


def _bitmap_pixels(boxes: np.ndarray, gt_inds: np.ndarray, gt_masks: BitmapMasks) -> tuple[np.ndarray, np.ndarray]:
    """Count the pixels of each box's bitmap inside of the box, and in all: (n,) and (n,)."""
    inside = np.zeros(len(boxes))
    corners = boxes.clip(min=0).astype(int).tolist()
    for i, ((x1, y1, x2, y2), gt_ind) in enumerate(zip(corners, gt_inds.tolist())):
        inside[i] = np.count_nonzero(gt_masks.masks[gt_ind, y1:y2, x1:x2])
    used, which = np.unique(gt_inds, return_inverse=True)
    return inside, np.array([np.count_nonzero(gt_masks.masks[gt_ind]) for gt_ind in used])[which]


@MODELS.register_module()
class CenterMaskIoUHead(MaskIoUHead):
    """Predicts the IoU of each mask with its object, and scores masks by it.

    Network and loss are MaskIoUHead's: 0.5 times the squared difference, averaged over RoIs whose target is
    positive. It differs from mmdet's in this:

    - The target cuts the predicted *probability* at 0.5, and counts the part of the object outside of the
      RoI as the authors do (``visible_ratios``).
    - Results keep the box score in ``scores`` and get ``mask_scores`` = scores * predicted IoU, by which
      mmdet's CocoMetric ranks masks. MaskIoUHead overwrites ``scores``, which changes box AP.
    - In fp16 its activations stay finite.

    Args: As MaskIoUHead.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.relu = ClampedReLU()

    def loss_and_target(self, mask_iou_pred: Tensor, *args, **kwargs) -> dict:
        """Compute the loss in full precision: squares and sums overflow in half.

        Args:
            mask_iou_pred (Tensor): Predicted IoU for the true class, (n,).
            *args: As MaskIoUHead.
            **kwargs: As MaskIoUHead.

        Returns:
            dict: ``loss_mask_iou``.
        """
        return super().loss_and_target(mask_iou_pred.float(), *args, **kwargs)

    def get_targets(
        self,
        sampling_results: list[SamplingResult],
        batch_gt_instances: InstanceList,
        mask_preds: Tensor,
        mask_targets: Tensor,
        rcnn_train_cfg: ConfigDict,
    ) -> Tensor:
        """Compute the IoU of every predicted mask with the whole ground-truth mask.

        With t, p, o the pixels of the target, of the prediction and of both, and r the share of the object
        inside of the RoI: ``o / max(p + t / r - o, 1)``.

        Args:
            sampling_results (list[SamplingResult]): RoIs and their ground truth, an image each.
            batch_gt_instances (list[InstanceData]): Ground truth with ``masks``, an image each.
            mask_preds (Tensor): Mask logits of the true class, (n, h, w).
            mask_targets (Tensor): Mask targets, 0 or 1, (n, h, w).
            rcnn_train_cfg (dict): Unused.

        Returns:
            Tensor: Targets of shape (n,), 0..1.
        """
        ratios = [
            self.visible_ratios(
                result.pos_priors.detach().cpu().numpy(),
                result.pos_assigned_gt_inds.cpu().numpy(),
                gt_instances.masks,
            )
            for result, gt_instances in zip(sampling_results, batch_gt_instances)
            if len(result.pos_priors) > 0
        ]
        mask_targets = mask_targets.float()  # in half precision 1e-10 is 0, and counts of pixels are rounded
        ratio = mask_targets.new_tensor(np.concatenate([np.zeros(0), *ratios]))
        predicted = mask_preds.detach() > 0  # probability above 0.5
        overlap = (predicted * mask_targets).sum(dim=(1, 2))
        union = predicted.sum(dim=(1, 2)) + mask_targets.sum(dim=(1, 2)) / ratio - overlap
        return overlap / union.clamp(min=1)

    def visible_ratios(
        self, boxes: np.ndarray, gt_inds: np.ndarray, gt_masks: BitmapMasks | PolygonMasks
    ) -> np.ndarray:
        """Return the share of its ground-truth mask that each RoI contains.

        Polygons are shifted into the RoI and rasterized by pycocotools on a canvas of its truncated height and width;
        the pixels, summed over the parts, are divided by the area of the polygons. Of bitmaps the pixels are counted.

        Args:
            boxes (np.ndarray): RoIs of shape (n, 4), x1, y1, x2, y2 in pixels; they may leave the image.
            gt_inds (np.ndarray): Index into ``gt_masks`` for each RoI, shape (n,).
            gt_masks (BitmapMasks or PolygonMasks): Masks of one image.

        Returns:
            np.ndarray: Ratios within 1e-10..1, shape (n,).
        """
        count = _polygon_pixels if isinstance(gt_masks, PolygonMasks) else _bitmap_pixels
        inside, areas = count(boxes, gt_inds, gt_masks)
        return (inside / np.maximum(areas, 1e-10)).clip(1e-10, 1)

    def predict_by_feat(self, mask_iou_preds: tuple[Tensor, ...], results_list: InstanceList) -> InstanceList:
        """Add ``mask_scores``.

        Args:
            mask_iou_preds (tuple[Tensor]): Predicted IoU, an image each, (n, K).
            results_list (list[InstanceData]): Detections with ``scores`` and ``labels``, an image each.

        Returns:
            list[InstanceData]: The same, each with ``mask_scores``, (n,).
        """
        for results, mask_iou in zip(results_list, mask_iou_preds):
            results.mask_scores = results.scores * mask_iou.gather(1, results.labels[:, None]).squeeze(1)
        return results_list
