"""EndToEnd: a CenterMask as one graph, from uint8 images to boxes, scores and small mask maps."""

import torch
import torch.nn.functional as F
from mmcv.ops import RoIAlign as MMCVRoIAlign
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor, nn

from ..errors import InputError
from ..models import (
    AdaptiveRoIExtractor,
    CenterMask,
    CenterMaskHead,
    CenterMaskRoIHead,
    CenterMaskV1,
    CenterMaskV1Head,
    PanopticCenterMask,
    PanopticFusionHead,
    StuffHead,
)
from .operators import NonMaxSuppression, RoIAlign

_FAR = (0.0, -1e4, -1e4, -9999.0, -9999.0)  # an RoI out of sight; OpenVINO makes NaN of one without area


def check_exportable(model: nn.Module) -> None:
    """Check that every part of a model is one that ``EndToEnd`` can write.

    Raises:
        InputError: Naming the part that it cannot.
    """
    if type(model) not in (CenterMask, CenterMaskV1, PanopticCenterMask):  # a subclass may predict otherwise
        raise InputError(
            'export writes CenterMask, CenterMaskV1 and PanopticCenterMask alone, and this is a '
            f'{type(model).__name__}.'
        )
    if hasattr(model, 'prepared'):
        raise InputError('export was given a model that is prepared for inference: give it the trained one.')
    extractor, nms = model.roi_head.mask_roi_extractor, model.test_cfg.nms
    parts = [
        ('bbox_head', model.bbox_head, CenterMaskHead),
        ('roi_head', model.roi_head, CenterMaskRoIHead),
        ('mask_roi_extractor', extractor, SingleRoIExtractor),
        *[('roi_layer', layer, MMCVRoIAlign) for layer in extractor.roi_layers],
    ]
    if isinstance(model, PanopticCenterMask):
        parts += [
            ('semantic_head', model.semantic_head, StuffHead),
            ('panoptic_fusion_head', model.panoptic_fusion_head, PanopticFusionHead),
        ]
    for name, part, wanted in parts:
        if not isinstance(part, wanted):
            raise InputError(
                f'the {name} {type(part).__name__} cannot be exported: only {wanted.__name__} and its subclasses can.'
            )
    if nms.get('type', 'nms') != 'nms':
        raise InputError(f'test_cfg.nms of type {nms.type} cannot be exported: only nms can.')


class EndToEnd(nn.Module):
    """A CenterMask from images to everything but pasting, of operators that ONNX has.

    Results are those of ``CenterMask.predict``. Its choices by the number of boxes, which a graph cannot have, are
    replaced: each level has ``nms_pre`` candidates, with the score -1 where there are fewer boxes; RoIs are aligned on
    every level, out of sight on all but their own; and one more RoI keeps the mask branch from an empty batch, which
    OpenVINO and cuDNN refuse.

    Args:
        model (CenterMask): In evaluation mode. Its own modules are called.

    Raises:
        InputError: As ``check_exportable``.
    """

    def __init__(self, model: CenterMask) -> None:
        super().__init__()
        check_exportable(model)
        self.model = model

    def forward(self, images: Tensor, score_thr: Tensor, iou_thr: Tensor, max_per_img: Tensor) -> tuple[Tensor, ...]:
        """Detect and segment.

        Args:
            images (Tensor): uint8 (N, 3, H, W), BGR, resized and not padded.
            score_thr (Tensor): Least probability of a class, float32 (1,).
            iou_thr (Tensor): Overlap above which NMS drops the lesser box, float32 (1,).
            max_per_img (Tensor): Most boxes of an image, int64 (1,).

        Returns:
            tuple[Tensor]: ``boxes`` (K, 4): x1, y1, x2, y2 in pixels of the given images, clipped to them; ``scores``
            (K,); ``mask_scores`` (K,), the same without a mask-IoU head; ``labels`` (K,), int64; ``image_index`` (K,),
            int64; ``masks`` (K, h, w), probabilities to be pasted into the boxes. An image after the other, the best
            box first. Of a PanopticCenterMask also ``semantic`` (N, S + 1, h', w'), logits of stuff and, last, things,
            which cover the images as they are padded inside of the graph.
        """
        model, roi_head = self.model, self.model.roi_head
        height, width = (torch.as_tensor(side) for side in images.shape[2:])  # variables of a traced graph
        feats = model.extract_feat(self._preprocess(images, height, width))
        boxes, scores, labels = self._candidates(model.box_feats(feats), score_thr, height, width)
        chosen = self._nms(boxes, scores, labels, iou_thr, max_per_img)

        edges = _clip(roi_head.to_edges(boxes[chosen[:, 0], chosen[:, 2]]), height, width)
        chosen = chosen[(edges[:, 2] > edges[:, 0]) & (edges[:, 3] > edges[:, 1])]
        image_index, number = chosen[:, 0], chosen[:, 2]
        boxes, scores, labels = (values[image_index, number] for values in (boxes, scores, labels))

        rois = torch.cat([torch.cat([image_index[:, None].float(), boxes], dim=1), boxes.new_tensor([_FAR])])
        roi_labels = torch.cat([labels, labels.new_zeros(1)])
        roi_feats = self._roi_feats(model.roi_feats(feats), rois, height * width)
        logits = roi_head.mask_head(roi_feats, roi_labels)
        mask_scores = scores
        if roi_head.mask_iou_head is not None:
            ious = roi_head.mask_iou_head(roi_feats, logits[:, 0])
            mask_scores = scores * ious.gather(1, roi_labels[:, None])[:-1, 0]
        boxes = roi_head.from_edges(_clip(roi_head.to_edges(boxes), height, width))
        # twice the same tensor would be one output of the graph
        outputs = boxes, scores, mask_scores * 1, labels, image_index, logits[:-1, 0].sigmoid()
        if isinstance(model, PanopticCenterMask):
            outputs += (model.semantic_head(feats)['seg_preds'],)
        return outputs

    def _preprocess(self, images: Tensor, height: Tensor, width: Tensor) -> Tensor:
        """Do what the data preprocessor does to a batch."""
        preprocessor = self.model.data_preprocessor
        if preprocessor._channel_conversion:
            images = images.flip(1)
        x = (images.float() - preprocessor.mean) / preprocessor.std
        divisor = preprocessor.pad_size_divisor
        right, bottom = (-side % divisor for side in (width, height))
        return F.pad(x, (0, right, 0, bottom), value=preprocessor.pad_value)

    def _candidates(
        self, feats: tuple[Tensor, ...], score_thr: Tensor, height: Tensor, width: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Find the candidates of all levels: boxes (N, M, 4), scores (N, M), -1 where there is none, labels (N, M)."""
        head = self.model.bbox_head
        number = head.test_cfg.nms_pre
        candidates = []
        for logits, distances, centerness, (stride, _) in zip(*head(feats), head.prior_generator.strides):
            columns, places = logits.shape[3], logits.shape[2] * logits.shape[3]
            scores = logits.sigmoid()
            scores = torch.where(scores > score_thr, scores * centerness.sigmoid(), -1.0).flatten(1)
            # small levels have fewer pairs of class and place than are asked for
            scores, pairs = F.pad(scores, (0, number), value=-1.0).topk(number)
            pairs = torch.where(scores > 0, pairs, 0)
            labels, place = pairs // places, pairs % places
            points = (torch.stack([place % columns, place // columns], dim=2) + 0.5) * stride
            if head.norm_on_bbox:
                distances = distances * stride
            distances = distances.flatten(2).gather(2, place[:, None].expand(-1, 4, -1)).transpose(1, 2)
            candidates.append((head.bbox_coder.decode(points, distances), scores, labels))
        boxes, scores, labels = (torch.cat(values, dim=1) for values in zip(*candidates))
        if isinstance(head, CenterMaskV1Head):
            boxes = _clip(boxes, height - 1, width - 1)
        return boxes, torch.where(scores > 0, scores.clamp(min=0) ** head.score_power, -1.0), labels

    def _nms(self, boxes: Tensor, scores: Tensor, labels: Tensor, iou_thr: Tensor, max_per_img: Tensor) -> Tensor:
        """Choose boxes class by class: image, 0 and number of each, (k, 3)."""
        cfg = self.model.bbox_head.test_cfg.nms
        # as shift_for_nms and mmcv's batched_nms: classes are kept apart by adding a multiple of the largest coordinate
        boxes = boxes * (scores > 0)[..., None]
        boxes = boxes - boxes.amin(dim=(1, 2), keepdim=True).clamp(max=0)
        if not cfg.get('class_agnostic', False):
            boxes = boxes + (labels[..., None] * (boxes.amax(dim=(1, 2), keepdim=True) + 1))
        boxes = torch.cat([boxes[..., :2], boxes[..., 2:] + cfg.get('offset', 0)], dim=2)
        return NonMaxSuppression.apply(boxes, scores[:, None], iou_thr, max_per_img)

    def _roi_feats(self, feats: tuple[Tensor, ...], rois: Tensor, image_area: Tensor) -> Tensor:
        """Extract features (k, C, h, w) of RoIs (k, 5)."""
        extractor = self.model.roi_head.mask_roi_extractor
        adaptive = isinstance(extractor, AdaptiveRoIExtractor)
        levels = extractor.map_roi_levels(rois, image_area if adaptive else extractor.num_inputs)
        far = torch.cat([rois[:, :1], rois.new_tensor([_FAR[1:]]).expand_as(rois[:, 1:])], dim=1)
        roi_feats = []
        for level, (feat, layer) in enumerate(zip(feats, extractor.roi_layers)):
            here = torch.where((levels == level)[:, None], rois, far)
            settings = layer.output_size[0], layer.spatial_scale, layer.sampling_ratio, layer.aligned
            roi_feats.append(RoIAlign.apply(feat, here, *settings))
        return sum(roi_feats)


def _clip(boxes: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Clip boxes (..., 4) to 0..width and 0..height."""
    return torch.minimum(boxes.clamp(min=0), torch.stack([width, height, width, height]).to(boxes))
