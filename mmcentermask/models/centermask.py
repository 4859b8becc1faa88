"""The detector: image -> backbone -> neck -> bbox_head -> roi_head (CenterMask, Fig. 2)."""

import copy

from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmdet.structures import OptSampleList, SampleList
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from torch import Tensor
from torch.nn.modules.utils import _pair

from ..errors import ConfigError
from .proposals import check_proposals


@MODELS.register_module()
class CenterMask(SingleStageDetector):
    """CenterMask (arXiv 1911.06667): a one-stage detector with a mask branch inside of its boxes.

    Args:
        backbone (dict): VoVNet, or any backbone.
        neck (dict): FPN, or any neck.
        bbox_head (dict): CenterMaskHead, or any dense head whose outputs are the same in training and in
            evaluation. Where the neck has more levels than the head has strides, it reads the coarsest ones,
            and RoIs may be taken from others, P2..P5 say.
        roi_head (dict): CenterMaskRoIHead.
        num_classes (int, optional): One number for every head: written into ``bbox_head``, ``mask_head`` and
            ``mask_iou_head`` before they are built. Defaults to None, which leaves theirs.
        train_cfg (dict, optional): ``proposal``: the box head's settings for proposals in training;
            ``rcnn``: the roi_head's.
        test_cfg (dict, optional): The box head's settings, flat, and ``rcnn``: the roi_head's.
        data_preprocessor (dict, optional): As mmdet.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ConfigError: If ``num_classes`` is not a positive whole number, the neck's levels do not fit those of the
            heads, or ``bbox_head`` is one whose proposals in training are not its boxes in evaluation.
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
                raise ConfigError(f'CenterMask: num_classes must be a whole number of at least 1, not {num_classes!r}.')
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
        check_proposals(self.bbox_head)
        roi_head['train_cfg'] = train_cfg['rcnn'] if train_cfg is not None else None
        roi_head['test_cfg'] = test_cfg['rcnn'] if test_cfg is not None else None
        self.roi_head = MODELS.build(roi_head)
        self._check_levels()

    def _check_levels(self) -> None:
        levels, strides = getattr(self.neck, 'num_outs', None), self._box_strides()
        if levels is None or strides is None:
            return
        if len(strides) > levels:
            raise ConfigError(
                f'CenterMask: the bbox_head reads {len(strides)} levels, of strides {strides}, '
                f'but the neck has num_outs={levels}: make them fit.'
            )
        finest = strides[0] // 2 ** (levels - len(strides))
        roi_strides = list(self.roi_head.mask_roi_extractor.featmap_strides)
        if roi_strides[0] not in (finest * 2**level for level in range(levels)):
            raise ConfigError(
                f"CenterMask: the neck's {levels} levels begin at stride {finest}, if the bbox_head's strides "
                f'{strides} are right, but the mask_roi_extractor has featmap_strides={roi_strides}: make them fit.'
            )

    def _box_strides(self) -> list[int] | None:
        """Strides in pixels of the levels that the box head reads, or None where it does not say."""
        strides = getattr(getattr(self.bbox_head, 'prior_generator', None), 'strides', None)
        return None if strides is None else [_pair(stride)[0] for stride in strides]

    def box_feats(self, x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Of the neck's levels, take those of the box head: the coarsest."""
        strides = self._box_strides()
        return x if strides is None else x[-len(strides) :]

    def roi_feats(self, x: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Of the neck's levels, take those from the finest of the mask branch on."""
        strides = self._box_strides()
        if strides is None:
            return x
        finest = strides[0] // 2 ** (len(x) - len(strides))
        return x[int(self.roi_head.mask_roi_extractor.featmap_strides[0] // finest).bit_length() - 1 :]

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict:
        """Compute all losses.

        Args:
            batch_inputs (Tensor): Normalized, padded images of shape (N, 3, H, W).
            batch_data_samples (list[DetDataSample]): Ground truth with boxes, labels and masks.

        Returns:
            dict[str, Tensor]: ``loss_cls``, ``loss_bbox``, ``loss_centerness``, ``loss_mask`` and
            ``loss_mask_iou``, as far as the heads have them.
        """
        return self.loss_by_feat(self.extract_feat(batch_inputs), batch_data_samples)

    def loss_by_feat(self, x: tuple[Tensor, ...], batch_data_samples: SampleList) -> dict:
        """Compute all losses from features of the neck, as ``loss``."""
        losses, proposals = self.bbox_head.loss_and_predict(
            self.box_feats(x), batch_data_samples, proposal_cfg=self.train_cfg['proposal']
        )
        losses.update(self.roi_head.loss(self.roi_feats(x), proposals, batch_data_samples))
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
        return self.predict_by_feat(self.extract_feat(batch_inputs), batch_data_samples, rescale)

    def predict_by_feat(
        self, x: tuple[Tensor, ...], batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """Detect and segment from features of the neck, as ``predict``."""
        # boxes stay in the network's pixels until the mask branch has looked at them
        results_list = self.bbox_head.predict(self.box_feats(x), batch_data_samples, rescale=False)
        results_list = self.roi_head.predict(self.roi_feats(x), results_list, batch_data_samples, rescale=rescale)
        return self.add_pred_to_datasample(batch_data_samples, results_list)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: OptSampleList = None) -> tuple:
        x = self.extract_feat(batch_inputs)
        results = self.bbox_head(self.box_feats(x))
        if batch_data_samples is None:
            return results
        proposals = self.bbox_head.predict(self.box_feats(x), batch_data_samples, rescale=False)
        return results + self.roi_head.forward(self.roi_feats(x), proposals, batch_data_samples)
