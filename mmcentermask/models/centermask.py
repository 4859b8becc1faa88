"""The detector: image -> backbone -> neck -> bbox_head -> roi_head (CenterMask, Fig. 2)."""

import copy

from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmdet.structures import OptSampleList, SampleList
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from torch import Tensor


@MODELS.register_module()
class CenterMask(SingleStageDetector):
    """CenterMask (arXiv 1911.06667): a one-stage detector with a mask branch inside of its boxes.

    Args:
        backbone (dict): VoVNet, or any backbone.
        neck (dict): FPN, or any neck.
        bbox_head (dict): CenterMaskHead, or any dense head whose outputs are the same in training and in
            evaluation.
        roi_head (dict): CenterMaskRoIHead.
        num_classes (int, optional): One number for every head: written into ``bbox_head``, ``mask_head`` and
            ``mask_iou_head`` before they are built. Defaults to None, which leaves theirs.
        train_cfg (dict, optional): ``proposal``: the box head's settings for proposals in training;
            ``rcnn``: the roi_head's.
        test_cfg (dict, optional): The box head's settings, flat, and ``rcnn``: the roi_head's.
        data_preprocessor (dict, optional): As mmdet.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ValueError: If ``num_classes`` is not a positive whole number.
    """

    def __init__(
        self,
        backbone: ConfigType,
        neck: ConfigType,
        bbox_head: ConfigType,
        roi_head: ConfigType,
        num_classes: int | None = None,
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        data_preprocessor: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        bbox_head, roi_head = copy.deepcopy(bbox_head), copy.deepcopy(roi_head)
        if num_classes is not None:
            if not isinstance(num_classes, int) or num_classes < 1:
                raise ValueError(f'CenterMask: num_classes must be a whole number of at least 1, not {num_classes!r}.')
            for head in (bbox_head, roi_head['mask_head'], roi_head.get('mask_iou_head')):
                if head is not None:
                    head['num_classes'] = num_classes
        super().__init__(
            backbone=backbone,
            neck=neck,
            bbox_head=bbox_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        roi_head['train_cfg'] = train_cfg['rcnn'] if train_cfg is not None else None
        roi_head['test_cfg'] = test_cfg['rcnn'] if test_cfg is not None else None
        self.roi_head = MODELS.build(roi_head)

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict:
        """Compute all losses.

        Args:
            batch_inputs (Tensor): Normalized, padded images of shape (N, 3, H, W).
            batch_data_samples (list[DetDataSample]): Ground truth with boxes, labels and masks.

        Returns:
            dict[str, Tensor]: ``loss_cls``, ``loss_bbox``, ``loss_centerness``, ``loss_mask`` and
            ``loss_mask_iou``, as far as the heads have them.
        """
        x = self.extract_feat(batch_inputs)
        losses, proposals = self.bbox_head.loss_and_predict(
            x, batch_data_samples, proposal_cfg=self.train_cfg['proposal']
        )
        losses.update(self.roi_head.loss(x, proposals, batch_data_samples))
        return losses

    def predict(self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True) -> SampleList:
        """Detect and segment.

        Args:
            batch_inputs (Tensor): Normalized, padded images of shape (N, 3, H, W).
            batch_data_samples (list[DetDataSample]): Images' meta information.
            rescale (bool): Return boxes and masks in pixels of the original images. Defaults to True.

        Returns:
            list[DetDataSample]: With ``pred_instances``: ``bboxes`` (n, 4), ``scores`` (n,), ``labels`` (n,),
            ``masks`` (n, H, W) and, with a mask-IoU head, ``mask_scores`` (n,).
        """
        x = self.extract_feat(batch_inputs)
        # boxes stay in the network's pixels until the mask branch has looked at them
        results_list = self.bbox_head.predict(x, batch_data_samples, rescale=False)
        results_list = self.roi_head.predict(x, results_list, batch_data_samples, rescale=rescale)
        return self.add_pred_to_datasample(batch_data_samples, results_list)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: OptSampleList = None) -> tuple:
        x = self.extract_feat(batch_inputs)
        results = self.bbox_head(x)
        if batch_data_samples is None:
            return results
        proposals = self.bbox_head.predict(x, batch_data_samples, rescale=False)
        return results + self.roi_head.forward(x, proposals, batch_data_samples)
