"""A mask branch on the boxes of a one-stage detector, with no second box stage."""

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import ConfigType, InstanceList, OptConfigType
from mmengine.structures import InstanceData
from torch import Tensor

from mmcentermask.errors import ConfigError
from mmcentermask.structures import check_mask_format

from .adaptive_roi_extractor import AdaptiveRoIExtractor
from .sag_mask_head import SAGMaskHead


@MODELS.register_module()
class CenterMaskRoIHead(StandardRoIHead):
    """Predicts a mask, and its IoU, for every box that it is given.

    In training the RoIs are the positives among the proposals and the ground-truth boxes. Each RoI's level
    depends on its own image's size before padding (Eq. 2), which this head passes to AdaptiveRoIExtractor.

    Args:
        mask_roi_extractor (dict): AdaptiveRoIExtractor, or any extractor of mmdet.
        mask_head (dict): SAGMaskHead or a subclass; ``attention=None`` makes it a plain FCNMaskHead.
        mask_iou_head (dict, optional): CenterMaskIoUHead. Without it results carry no ``mask_scores``.
            Defaults to None.
        train_cfg (dict, optional): ``assigner``, ``sampler``, ``mask_size``.
        test_cfg (dict, optional): ``mask_thr_binary``, and ``mask_format``, the form of the resulting masks: 'dense'
            (the default) for a tensor, 'rle' for COCO RLE, which never needs a dense image.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ConfigError: If there is no such ``mask_format``, or ``mask_head`` is no SAGMaskHead.
    """

    def __init__(
        self,
        mask_roi_extractor: ConfigType,
        mask_head: ConfigType,
        mask_iou_head: OptConfigType = None,
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(
            mask_roi_extractor=mask_roi_extractor,
            mask_head=mask_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            init_cfg=init_cfg,
        )
        check_mask_format(test_cfg)
        if not isinstance(self.mask_head, SAGMaskHead):
            raise ConfigError(
                f'{type(self).__name__}: mask_head must be a SAGMaskHead, which can compute the map of one class, '
                f'not {type(self.mask_head).__name__}: SAGMaskHead with attention=None is FCNMaskHead.'
            )
        self.mask_iou_head = None if mask_iou_head is None else MODELS.build(mask_iou_head)

    def loss(self, x: tuple[Tensor, ...], proposals: InstanceList, batch_data_samples: SampleList) -> dict:
        """Compute the losses of the mask branch.

        Args:
            x (tuple[Tensor]): FPN features, each (N, C, H, W).
            proposals (list[InstanceData]): Boxes of the box head with ``bboxes`` in pixels of the network's
                input, an image each.
            batch_data_samples (list[DetDataSample]): Ground truth with ``masks``, an image each.

        Returns:
            dict[str, Tensor]: ``loss_mask`` and, with a mask-IoU head, ``loss_mask_iou``.
        """
        batch_gt_instances, batch_gt_instances_ignore, img_metas = unpack_gt_instances(batch_data_samples)
        sampling_results = []
        for proposal, gt, gt_ignore in zip(proposals, batch_gt_instances, batch_gt_instances_ignore):
            priors = InstanceData(priors=proposal.bboxes)
            assigned = self.bbox_assigner.assign(priors, gt, gt_ignore)
            sampling_results.append(self.bbox_sampler.sample(assigned, priors, gt))
        return self.mask_loss(x, sampling_results, batch_gt_instances, [meta['img_shape'] for meta in img_metas])

    def mask_loss(
        self,
        x: tuple[Tensor, ...],
        sampling_results: list[SamplingResult],
        batch_gt_instances: InstanceList,
        img_shapes: list[tuple[int, int]],
    ) -> dict:
        """Compute the losses for given RoIs.

        Args:
            x (tuple[Tensor]): FPN features, each (N, C, H, W).
            sampling_results (list[SamplingResult]): RoIs and their ground truth, an image each.
            batch_gt_instances (list[InstanceData]): Ground truth with ``masks``, an image each.
            img_shapes (list[tuple[int, int]]): Height and width of each image before padding.

        Returns:
            dict[str, Tensor]: As ``loss``.
        """
        rois = bbox2roi([result.pos_priors for result in sampling_results])
        labels = torch.cat([result.pos_gt_labels for result in sampling_results])
        mask_results = self._mask_forward(x, rois, img_shapes, labels)
        mask_preds = mask_results['mask_preds']
        mask_loss_and_target = self.mask_head.loss_and_target(
            mask_preds, sampling_results, batch_gt_instances, self.train_cfg
        )
        losses = dict(mask_loss_and_target['loss_mask'])
        if self.mask_iou_head is not None:
            mask_iou_preds = self.mask_iou_head(mask_results['mask_feats'], mask_preds[:, 0])
            losses.update(
                self.mask_iou_head.loss_and_target(
                    mask_iou_preds.gather(1, labels[:, None]).squeeze(1),
                    mask_preds[:, 0],
                    mask_loss_and_target['mask_targets'],
                    sampling_results,
                    batch_gt_instances,
                    self.train_cfg,
                )
            )
        return losses

    def predict(
        self, x: tuple[Tensor, ...], results_list: InstanceList, batch_data_samples: SampleList, rescale: bool = False
    ) -> InstanceList:
        """Add masks to detections.

        Args:
            x (tuple[Tensor]): FPN features, each (N, C, H, W).
            results_list (list[InstanceData]): Detections of the box head, ``bboxes`` in pixels of the
                network's input, an image each.
            batch_data_samples (list[DetDataSample]): Images' meta information.
            rescale (bool): Return boxes and masks in pixels of the original image. Defaults to False.

        Returns:
            list[InstanceData]: The detections with ``bboxes`` clipped to the image, ``masks`` (n, H, W), or a
            list of n COCO RLEs where ``test_cfg`` says 'rle', and, with a mask-IoU head, ``mask_scores`` (n,).
            Boxes that lie outside of the image are dropped.
        """
        mask_preds, mask_iou_preds = self.predict_maps(x, results_list, batch_data_samples)
        img_metas = [sample.metainfo for sample in batch_data_samples]
        return self.finish(results_list, mask_preds, mask_iou_preds, img_metas, rescale)

    def predict_maps(
        self, x: tuple[Tensor, ...], results_list: InstanceList, batch_data_samples: SampleList
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...] | None]:
        """Run the mask branch on detections, up to its raw outputs.

        Args:
            x (tuple[Tensor]): FPN features, each (N, C, H, W).
            results_list (list[InstanceData]): As ``predict``; not changed.
            batch_data_samples (list[DetDataSample]): Images' meta information.

        Returns:
            tuple: Mask logits of each box's class, an image each, (n, 1, 2h, 2w); and predicted IoUs, an image each,
            (n, K), or None without a mask-IoU head.
        """
        img_shapes = [sample.metainfo['img_shape'][:2] for sample in batch_data_samples]
        rois = bbox2roi([results.bboxes for results in results_list])
        labels = torch.cat([results.labels for results in results_list])
        mask_results = self._mask_forward(x, rois, img_shapes, labels)
        mask_preds = mask_results['mask_preds']
        counts = [len(results) for results in results_list]
        mask_iou_preds = None
        if self.mask_iou_head is not None:
            mask_iou_preds = self.mask_iou_head(mask_results['mask_feats'], mask_preds[:, 0]).split(counts)
        return mask_preds.split(counts), mask_iou_preds

    def finish(
        self,
        results_list: InstanceList,
        mask_preds: tuple[Tensor, ...],
        mask_iou_preds: tuple[Tensor, ...] | None,
        img_metas: list[dict],
        rescale: bool = False,
        probabilities: bool = False,
    ) -> InstanceList:
        """Clip the boxes of detections, paste their masks and score them.

        Args:
            results_list (list[InstanceData]): As ``predict``; changed in place.
            mask_preds (tuple[Tensor]): Mask logits of each box's class, an image each, (n, 1, 2h, 2w).
            mask_iou_preds (tuple[Tensor], optional): Predicted IoUs, an image each, (n, K), or None.
            img_metas (list[dict]): Images' meta information.
            rescale (bool): Return boxes and masks in pixels of the original image. Defaults to False.
            probabilities (bool): ``mask_preds`` are probabilities and not logits. Defaults to False.

        Returns:
            list[InstanceData]: As ``predict``.
        """
        if mask_iou_preds is not None:
            results_list = self.mask_iou_head.predict_by_feat(mask_iou_preds, results_list)
        # features came from the whole box, the mask is pasted into the part of it inside of the image
        visible_results, to_paste, visible_preds = [], [], []
        for results, preds, img_meta in zip(results_list, mask_preds, img_metas):
            height, width = img_meta['img_shape'][:2]
            edges = self.to_edges(results.bboxes)
            edges = torch.stack([edges[:, 0::2].clamp(0, width), edges[:, 1::2].clamp(0, height)], dim=2).flatten(1)
            visible = (edges[:, 2:] > edges[:, :2]).all(dim=1)
            visible_results.append(results[visible])
            # the mask head chooses a map by the label, and is given one map
            zeros = torch.zeros_like(results.labels[visible])
            to_paste.append(InstanceData(bboxes=self.from_edges(edges[visible]), labels=zeros))
            # FCNMaskHead copies probabilities with new_tensor, which warns of anything but an array
            visible_preds.append(preds[visible].float().cpu().numpy() if probabilities else preds[visible])
        pasted = self.mask_head.predict_by_feat(
            visible_preds, to_paste, img_metas, self.test_cfg, rescale=rescale, activate_map=probabilities
        )
        for results, boxes_and_masks in zip(visible_results, pasted):
            results.bboxes, results.masks = boxes_and_masks.bboxes, boxes_and_masks.masks
        return visible_results

    def to_edges(self, boxes: Tensor) -> Tensor:
        """Turn the box head's boxes (n, 4) into x1, y1, x2, y2 with width x2 - x1, which they are already."""
        return boxes

    def from_edges(self, boxes: Tensor) -> Tensor:
        """Undo ``to_edges``."""
        return boxes

    def forward(self, x: tuple[Tensor, ...], results_list: InstanceList, batch_data_samples: SampleList) -> tuple:
        """Return the raw mask logits, (n, K, 2h, 2w), for given boxes, as a tuple of one."""
        rois = bbox2roi([results.bboxes for results in results_list])
        img_shapes = [sample.metainfo['img_shape'][:2] for sample in batch_data_samples]
        return (self._mask_forward(x, rois, img_shapes)['mask_preds'],)

    def _mask_forward(
        self,
        x: tuple[Tensor, ...],
        rois: Tensor,
        img_shapes: list[tuple[int, int]],
        labels: Tensor | None = None,
    ) -> dict:
        feats = x[: self.mask_roi_extractor.num_inputs]
        if isinstance(self.mask_roi_extractor, AdaptiveRoIExtractor):
            mask_feats = self.mask_roi_extractor(feats, rois, img_shapes=img_shapes)
        else:
            mask_feats = self.mask_roi_extractor(feats, rois)
        return dict(mask_preds=self.mask_head(mask_feats, labels), mask_feats=mask_feats)
