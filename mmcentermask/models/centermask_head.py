"""FCOS boxes, scored and decoded as the CenterMask authors do (paper, section 3.1)."""

import torch
from mmcv.cnn import Scale
from mmdet.models.dense_heads import FCOSHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import scale_boxes
from mmdet.utils import ConfigType, InstanceList
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from ..errors import ConfigError

_FARTHEST = 8  # image sides: coordinates beyond are clamped for NMS


def shift_for_nms(boxes: Tensor, img_shape: tuple[int, int]) -> Tensor:
    """Move boxes into the positive quadrant, for class-wise NMS.

    mmcv keeps classes apart by adding a multiple of the largest coordinate, which fails with coordinates below zero and
    with non-finite ones: a single infinite distance would make every box of the image non-finite, and NMS keep all.

    Args:
        boxes (Tensor): x1, y1, x2, y2 in pixels, (n, 4).
        img_shape (tuple[int, int]): Height and width of their image.

    Returns:
        Tensor: Finite boxes of the same overlaps, (n, 4).
    """
    if len(boxes) == 0:
        return boxes
    farthest = _FARTHEST * max(img_shape[:2])
    boxes = boxes.nan_to_num(nan=0.0).clamp(-farthest, farthest)
    return boxes - boxes.min().clamp(max=0)


@MODELS.register_module()
class CenterMaskHead(FCOSHead):
    """FCOS head of CenterMask: training is FCOSHead's, prediction is the authors'.

    It differs from mmdet's FCOSHead in this:

    - Distances stay in units of the stride in training and in evaluation, and every prediction multiplies
      by the stride. FCOSHead multiplies in evaluation only, which makes proposals in training wrong.
    - A (location, class) pair is kept where the class probability alone is above ``score_thr``; pairs are
      ranked by class probability times centerness, the best ``nms_pre`` of a level survive, and the score
      is the square root of that product.
    - Boxes are in pixels of the network's input and are not clipped to the image: the mask branch looks at
      the whole box. CenterMaskRoIHead clips the final boxes.

    Args:
        *args: As FCOSHead.
        center_sampling (bool): Defaults to True.
        norm_on_bbox (bool): Distances are ``relu(scale * conv)`` in strides; False gives
            ``exp(scale * conv)`` in pixels. Defaults to True.
        centerness_on_reg (bool): Centerness from the box tower. Defaults to True.
        conv_bias (bool or str): Defaults to True, as in the official towers.
        loss_bbox (dict): Defaults to SmoothedGIoULoss, the official one. Others: GIoULoss, IoULoss, BoxL1Loss,
            BoxSmoothL1Loss.
        score_power (float): Exponent of the score, class probability times centerness. Defaults to 0.5.
        **kwargs: As FCOSHead. ``loss_cls``: FocalLoss (the default) or CrossEntropyLoss, with
            ``use_sigmoid=True``.

    Raises:
        ConfigError: If ``loss_cls`` is not one of sigmoids.
    """

    def __init__(
        self,
        *args,
        center_sampling: bool = True,
        norm_on_bbox: bool = True,
        centerness_on_reg: bool = True,
        conv_bias: bool | str = True,
        loss_bbox: ConfigType = dict(type='SmoothedGIoULoss', loss_weight=1.0),
        score_power: float = 0.5,
        **kwargs,
    ) -> None:
        super().__init__(
            *args,
            center_sampling=center_sampling,
            norm_on_bbox=norm_on_bbox,
            centerness_on_reg=centerness_on_reg,
            conv_bias=conv_bias,
            loss_bbox=loss_bbox,
            **kwargs,
        )
        self.score_power = score_power
        if not self.use_sigmoid_cls:
            raise ConfigError(
                f'{type(self).__name__}: classes are scored by sigmoids, so loss_cls must be one of sigmoids: '
                'write use_sigmoid=True into it, as in dict(type="CrossEntropyLoss", use_sigmoid=True).'
            )

    def forward_single(self, x: Tensor, scale: Scale, stride: int) -> tuple[Tensor, Tensor, Tensor]:
        """Run one level.

        Args:
            x (Tensor): Features of shape (N, C, H, W).
            scale (Scale): The level's learnt factor.
            stride (int): The level's stride in pixels; unused, for distances stay in strides.

        Returns:
            tuple[Tensor]: Class logits (N, K, H, W); distances left, top, right, bottom in strides
            (N, 4, H, W), in pixels without ``norm_on_bbox``; centerness logits (N, 1, H, W). All in fp32: in
            half precision the class loss, a sum over every location, overflows, points and boxes are rounded, and
            mmcv's focal loss knows no bfloat16.
        """
        cls_score, bbox_pred, centerness = super().forward_single(x, scale, stride=1)
        return cls_score.float(), bbox_pred.float(), centerness.float()

    def predict_by_feat(
        self, cls_scores: list[Tensor], bbox_preds: list[Tensor], score_factors: list[Tensor], **kwargs
    ) -> InstanceList:
        """Decode a batch.

        Args:
            cls_scores (list[Tensor]): Class logits, a level each, (N, K, H, W).
            bbox_preds (list[Tensor]): Distances, as ``forward_single`` gives them.
            score_factors (list[Tensor]): Centerness logits, (N, 1, H, W).
            **kwargs: As BaseDenseHead: ``batch_img_metas``, ``cfg``, ``rescale``, ``with_nms``.

        Returns:
            list[InstanceData]: ``bboxes`` (n, 4) in pixels, not clipped, ``scores`` (n,), ``labels`` (n,),
            best first.
        """
        if self.norm_on_bbox:
            bbox_preds = [pred * stride for pred, stride in zip(bbox_preds, self.strides)]
        return super().predict_by_feat(cls_scores, bbox_preds, score_factors, **kwargs)

    def _predict_by_feat_single(
        self,
        cls_score_list: list[Tensor],
        bbox_pred_list: list[Tensor],
        score_factor_list: list[Tensor],
        mlvl_priors: list[Tensor],
        img_meta: dict,
        cfg: ConfigDict | None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> InstanceData:
        cfg = self.test_cfg if cfg is None else cfg
        threshold = cfg.get('score_thr', 0)
        # most of the pairs are dropped by their logits, before anything is computed from them; the margin is wider than
        # the error of a logit, and what lies in it is decided by the probability
        least = torch.tensor(float(threshold), device='cpu').clamp(0, 0.999).logit().item() - 0.1
        points, distances, scores, labels = [], [], [], []
        for cls_score, bbox_pred, centerness, priors in zip(
            cls_score_list, bbox_pred_list, score_factor_list, mlvl_priors
        ):
            logits = cls_score.permute(1, 2, 0).flatten(0, 1)
            locations, classes = (logits > least).nonzero(as_tuple=True)
            score = logits[locations, classes].float().sigmoid()
            kept = (score > threshold).nonzero().squeeze(1)  # once: each look for them makes a GPU wait
            locations, classes = locations[kept], classes[kept]
            score = score[kept] * centerness.flatten()[locations].float().sigmoid()
            nms_pre = cfg.get('nms_pre', -1)
            if 0 < nms_pre < len(score):
                score, best = score.topk(nms_pre, sorted=False)
                locations, classes = locations[best], classes[best]
            points.append(priors[locations])
            distances.append(bbox_pred.permute(1, 2, 0).flatten(0, 1)[locations])
            scores.append(score)
            labels.append(classes)
        boxes = self._decode(torch.cat(points), torch.cat(distances), img_meta)
        results = InstanceData(scores=torch.cat(scores) ** self.score_power, labels=torch.cat(labels))
        results.bboxes, results.unshifted = shift_for_nms(boxes, img_meta['img_shape']), boxes
        results = self._bbox_post_process(results, cfg, rescale=False, with_nms=with_nms, img_meta=img_meta)
        results.bboxes = results.pop('unshifted')
        if rescale:
            results.bboxes = scale_boxes(results.bboxes, [1 / s for s in img_meta['scale_factor']])
        return results

    def _decode(self, points: Tensor, distances: Tensor, img_meta: dict) -> Tensor:
        """Make boxes (n, 4) of points (n, 2) and distances (n, 4), in pixels; not clipped to the image."""
        return self.bbox_coder.decode(points, distances)
