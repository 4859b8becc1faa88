"""Spatial attention-guided mask (CenterMask, section 3.3): SpatialAttention and SAGMaskHead."""

import numpy as np
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, InstanceList, OptConfigType
from mmengine.config import ConfigDict
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from mmcentermask.errors import ConfigError
from mmcentermask.structures import crop_masks, paste_masks

from .ese import EffectiveSE
from .fp16_clamp import clamp_fp16


@MODELS.register_module()
class SpatialAttention(nn.Module):
    """SAM: weighs every pixel of an RoI by how informative it is (Eq. 3 and 4).

    ``sigmoid(conv([mean over channels, max over channels]))``, multiplied in.

    Args:
        kernel_size (int): Of the convolution, which has no bias. Odd. Defaults to 3.

    Raises:
        ConfigError: If ``kernel_size`` is not an odd number of at least 1.
    """

    def __init__(self, kernel_size: int = 3) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ConfigError(f'{type(self).__name__}: kernel_size must be odd and at least 1, not {kernel_size}.')
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def attention_map(self, x: Tensor) -> Tensor:
        """Return the attention map, (n, 1, h, w), 0..1, of features ``x``, (n, C, h, w)."""
        return self.conv(self.pool(x)).sigmoid()

    @staticmethod
    def pool(x: Tensor) -> Tensor:
        """Return mean and maximum over the channels, (n, 2, h, w), of features ``x``, (n, C, h, w)."""
        return torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh features ``x``, (n, C, h, w), by their attention map; the shape stays."""
        return x * self.attention_map(x)


@MODELS.register_module()
class SAGMaskHead(FCNMaskHead):
    """Mask head with spatial attention between the convolutions and the upsampling.

    A drop-in for FCNMaskHead in any mmdet model. Mask targets are cropped by the RoI as it is, not clipped
    to the image, since RoI features are not clipped either.

    Args:
        *args: As FCNMaskHead.
        attention (dict or list[dict], optional): SpatialAttention, the paper's; MultiScaleSpatialAttention;
            EffectiveSE, over channels; a list applies them in turn; None leaves attention out.
            Defaults to ``dict(type='SpatialAttention')``.
        loss_dice (dict, optional): MaskDiceLoss in addition to ``loss_mask``, logged as ``loss_mask_dice``.
            For Dice alone make it ``loss_mask``. Defaults to None.
        **kwargs: As FCNMaskHead.

    Raises:
        ConfigError: If channel attention has another number of channels than the features.
    """

    def __init__(
        self,
        *args,
        attention: ConfigType | list[ConfigType] | None = dict(type='SpatialAttention'),
        loss_dice: OptConfigType = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.attention = self._build_attention(attention)
        self.loss_dice = None if loss_dice is None else MODELS.build(loss_dice)

    def _build_attention(self, attention: ConfigType | list[ConfigType] | None) -> nn.Module:
        if attention is None:
            return nn.Identity()
        if isinstance(attention, (list, tuple)):
            return nn.Sequential(*[self._build_attention(part) for part in attention])
        module = MODELS.build(attention)
        channels = self.conv_out_channels if self.num_convs > 0 else self.in_channels
        if isinstance(module, EffectiveSE) and module.fc.in_channels != channels:
            raise ConfigError(
                f'{type(self).__name__}: its features have {channels} channels, '
                f'but attention EffectiveSE is for {module.fc.in_channels}: write channels={channels} there.'
            )
        return module

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Predict masks.

        Args:
            x (Tensor): RoI features of shape (n, C, h, w).
            labels (Tensor, optional): Class of each RoI, (n,). With it only the map of that class is computed, so
                that work and memory do not depend on the number of classes. Defaults to None.

        Returns:
            Tensor: Mask logits of shape (n, K, 2h, 2w), or (n, 1, 2h, 2w) with ``labels``.
        """
        for conv in self.convs:
            x = clamp_fp16(conv(x))
        return self.predict_logits(x, labels)

    def predict_logits(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Attend, upsample and predict.

        Args:
            x (Tensor): Features of the convolutions, (n, C', h, w).
            labels (Tensor, optional): As ``forward``. Defaults to None.

        Returns:
            Tensor: Mask logits of shape (n, K, 2h, 2w), or (n, 1, 2h, 2w) with ``labels``.
        """
        x = self.attention(x)
        if self.upsample is not None:
            x = self.upsample(x)
            if self.upsample_method == 'deconv':
                x = self.relu(x)
            x = clamp_fp16(x)
        if labels is None or self.class_agnostic:
            return clamp_fp16(self.conv_logits(x))
        if self.predictor_cfg['type'] != 'Conv':  # a layer that does more than multiply its weights
            return self.conv_logits(x)[torch.arange(len(labels), device=labels.device), labels][:, None]
        # in channels-last layout, as a matrix a RoI; weights of the classes that are not there get gradients of zero
        weight, bias = self.conv_logits.weight.flatten(1)[labels], self.conv_logits.bias[labels]
        maps = torch.bmm(weight[:, None], x.flatten(2))
        return clamp_fp16(maps.unflatten(2, x.shape[2:]) + bias[:, None, None, None])

    def loss_and_target(
        self,
        mask_preds: Tensor,
        sampling_results: list[SamplingResult],
        batch_gt_instances: InstanceList,
        rcnn_train_cfg: ConfigDict,
    ) -> dict:
        """Compute targets and losses.

        Args:
            mask_preds (Tensor): Mask logits of shape (n, K, h, w), or (n, 1, h, w) of each RoI's own class.
            sampling_results (list[SamplingResult]): RoIs and their ground truth, an image each.
            batch_gt_instances (list[InstanceData]): Ground truth with ``masks``, an image each.
            rcnn_train_cfg (dict): As ``get_targets``.

        Returns:
            dict: ``loss_mask``, a dict of ``loss_mask`` and, with ``loss_dice``, ``loss_mask_dice``; and
            ``mask_targets``, (n, mask_size, mask_size).
        """
        mask_targets = self.get_targets(sampling_results, batch_gt_instances, rcnn_train_cfg)
        labels = torch.cat([result.pos_gt_labels for result in sampling_results])
        if mask_preds.shape[1] == 1:
            labels = torch.zeros_like(labels)
        # a sum over no RoI is the zero that still reaches every parameter
        loss = self.loss_mask(mask_preds, mask_targets, labels) if len(mask_preds) else mask_preds.sum()
        losses = dict(loss_mask=loss)
        if self.loss_dice is not None:
            losses['loss_mask_dice'] = self.loss_dice(mask_preds, mask_targets, labels)
        return dict(loss_mask=losses, mask_targets=mask_targets)

    def get_targets(
        self, sampling_results: list[SamplingResult], batch_gt_instances: InstanceList, rcnn_train_cfg: ConfigDict
    ) -> Tensor:
        """Crop and resize the ground-truth mask of every positive RoI.

        Args:
            sampling_results (list[SamplingResult]): RoIs and their ground truth, an image each.
            batch_gt_instances (list[InstanceData]): Ground truth with ``masks``, an image each.
            rcnn_train_cfg (dict): ``mask_size`` of the target in pixels; ``soft_mask_target`` keeps
                fractions of bitmap masks.

        Returns:
            Tensor: Targets of shape (n, mask_size, mask_size).
        """
        # unlike mask_target_single, the boxes are not clipped
        targets = [
            crop_masks(
                gt_instances.masks,
                result.pos_priors,
                result.pos_assigned_gt_inds,
                _pair(rcnn_train_cfg.mask_size),
                binarize=not rcnn_train_cfg.get('soft_mask_target', False),
            )
            for result, gt_instances in zip(sampling_results, batch_gt_instances)
        ]
        return torch.cat(targets)

    def predict_by_feat(
        self,
        mask_preds: tuple[Tensor, ...],
        results_list: InstanceList,
        batch_img_metas: list[dict],
        rcnn_test_cfg: ConfigDict,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> InstanceList:
        """Paste masks into their boxes.

        Args:
            mask_preds (tuple[Tensor]): As FCNMaskHead.
            results_list (list[InstanceData]): As FCNMaskHead.
            batch_img_metas (list[dict]): As FCNMaskHead.
            rcnn_test_cfg (dict): ``mask_thr_binary``, and ``mask_format``: 'dense' (the default) or 'rle'.
            rescale (bool): As FCNMaskHead. Defaults to False.
            activate_map (bool): As FCNMaskHead. Defaults to False.

        Returns:
            list[InstanceData]: The results with ``masks``: tensors of shape (n, H, W), bool, or lists of n
            compressed COCO RLEs.

        Raises:
            ConfigError: If there is no such ``mask_format``.
        """
        results_list = super().predict_by_feat(
            mask_preds, results_list, batch_img_metas, rcnn_test_cfg, rescale=rescale, activate_map=activate_map
        )
        for results in results_list:
            if len(results) == 0 and rcnn_test_cfg.get('mask_format') == 'rle':  # for which FCNMaskHead has a tensor
                results.masks = []
        return results_list

    def _predict_by_feat_single(
        self,
        mask_preds: Tensor,
        bboxes: Tensor,
        labels: Tensor,
        img_meta: dict,
        rcnn_test_cfg: ConfigDict,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> Tensor | list[dict]:
        """Paste the masks of one image; as FCNMaskHead, but for ``mask_format``, faster and in less memory."""
        mask_format, threshold = rcnn_test_cfg.get('mask_format', 'dense'), rcnn_test_cfg.mask_thr_binary
        if mask_format == 'dense' and threshold <= 0:  # for debugging
            return super()._predict_by_feat_single(
                mask_preds, bboxes, labels, img_meta, rcnn_test_cfg, rescale=rescale, activate_map=activate_map
            )
        maps = torch.as_tensor(mask_preds, device=bboxes.device)
        maps = maps[:, 0] if self.class_agnostic else maps[torch.arange(len(labels), device=labels.device), labels]
        if not activate_map:
            maps = maps.sigmoid()
        height, width = img_meta['ori_shape'][:2]
        scale = bboxes.new_tensor(img_meta['scale_factor'][:2])
        if rescale:
            bboxes /= scale.repeat(2)  # the results' own boxes, as FCNMaskHead does
        else:
            height, width = np.round(np.multiply((height, width), scale.flip(0).tolist())).astype(int).tolist()
        return self.paste(maps, bboxes, height, width, threshold, mask_format)

    def paste(
        self, maps: Tensor, boxes: Tensor, height: int, width: int, threshold: float, mask_format: str
    ) -> Tensor | list[dict]:
        """Paste the masks of one image.

        Args:
            maps (Tensor): Mask probabilities of shape (n, h, w).
            boxes (Tensor): x1, y1, x2, y2 in pixels of the result, (n, 4).
            height (int): H, of the result.
            width (int): W, of the result.
            threshold (float): Pixels of at least this probability belong to the mask.
            mask_format (str): 'dense' or 'rle'.

        Returns:
            Tensor or list[dict]: Masks (n, H, W), bool, or n compressed COCO RLEs.
        """
        return paste_masks(maps, boxes, height, width, threshold, mask_format)
