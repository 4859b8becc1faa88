"""Test-time augmentation of CenterMask: boxes merged over views, masks averaged at the merged boxes."""

from collections.abc import Iterator

from mmcv.ops import batched_nms
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox_mapping, bbox_mapping_back
from mmdet.utils import ConfigType, InstanceList
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ..errors import ConfigError
from .centermask import CenterMask
from .centermask_head import shift_for_nms
from .panoptic_centermask import PanopticCenterMask

_FLIPPED_AXES = dict(horizontal=(-1,), vertical=(-2,), diagonal=(-2, -1))


@MODELS.register_module()
class CenterMaskTTA(BaseTTAModel):
    """Detects in several views (scales and flips) of an image, and answers once.

    1. The box head looks at every view. Its boxes are brought back to the original image, and class-wise NMS
       over all of them leaves the merged boxes with the best view's scores.
    2. The mask branch looks at every view, at the merged boxes. Mask probabilities, flipped back, and predicted
       IoUs are averaged over the views.
    3. The averaged masks are pasted as without augmentation, into the merged boxes clipped to the image.

    With one view that changes nothing the answer is that of the model alone. The features of all views are
    held in memory until the masks are done.

    Args:
        tta_cfg (dict): ``nms`` and ``max_per_img`` for the merged boxes.
        module (dict or nn.Module): The CenterMask.
        data_preprocessor (dict, optional): In the place of the model's. Defaults to None.

    Raises:
        ConfigError: If the model is no CenterMask, or a PanopticCenterMask, or ``tta_cfg`` lacks something.
    """

    def __init__(
        self, tta_cfg: ConfigType, module: ConfigType | nn.Module, data_preprocessor: ConfigType | None = None
    ) -> None:
        super().__init__(module=module, data_preprocessor=data_preprocessor)
        if not isinstance(self.module, CenterMask):
            raise ConfigError(
                f'CenterMaskTTA: the model is a {type(self.module).__name__}, but only a CenterMask has the parts it '
                "needs: use tta_model=dict(type='DetTTAModel', ...) for detectors without masks."
            )
        if isinstance(self.module, PanopticCenterMask):
            raise ConfigError(
                'CenterMaskTTA merges objects and no stuff, so it takes no PanopticCenterMask: test without --tta.'
            )
        missing = [name for name in ('nms', 'max_per_img') if name not in (tta_cfg or {})]
        if missing:
            raise ConfigError(
                f'CenterMaskTTA: tta_cfg has no {" and no ".join(missing)}: write tta_cfg='
                "dict(nms=dict(type='nms', iou_threshold=0.6), max_per_img=100), say."
            )
        self.tta_cfg = tta_cfg

    def test_step(self, data: dict) -> SampleList:
        """Detect and segment.

        Args:
            data (dict): ``inputs`` and ``data_samples`` as mmcv's TestTimeAug and pseudo_collate give them: a list
                of the views, each a list of the batch's images.

        Returns:
            list[DetDataSample]: An image each, with ``pred_instances`` as CenterMask predicts them, in pixels of
            the original image, and the first view's meta information.
        """
        feats, views = [], []
        for batch in self._batches(data):
            batch = self.module.data_preprocessor(batch, False)
            samples = batch['data_samples']
            feats.append(self.module.extract_feat(batch['inputs']))
            boxes = self.module.bbox_head.predict(self.module.box_feats(feats[-1]), samples, rescale=False)
            views.append(self.module.add_pred_to_datasample(samples, boxes))
        merged = self.merge_preds(list(zip(*views)))
        return self.module.add_pred_to_datasample(views[0], self._segment(feats, views, merged))

    @staticmethod
    def _batches(data: dict) -> Iterator[dict]:
        """Give the batch of every view."""
        for i in range(len(data['inputs'])):
            yield {key: value[i] for key, value in data.items()}

    def merge_preds(self, data_samples_list: list[SampleList]) -> InstanceList:
        """Merge the boxes of all views of each image.

        Args:
            data_samples_list (list[list[DetDataSample]]): For each image, its views, with ``pred_instances`` as the
                box head predicts them, in pixels of the view.

        Returns:
            list[InstanceData]: ``bboxes`` (n, 4) in pixels of the original image, not clipped, up to their right
            and bottom edges, ``scores`` (n,), ``labels`` (n,), an image each, best first.
        """
        return [self._merge_single(samples) for samples in data_samples_list]

    def _merge_single(self, samples: SampleList) -> InstanceData:
        results = []
        for sample in samples:
            found = sample.pred_instances
            edges = self.module.roi_head.to_edges(found.bboxes)
            boxes = bbox_mapping_back(edges, *_view_of(sample.metainfo))
            results.append(InstanceData(bboxes=boxes, scores=found.scores, labels=found.labels))
        merged = InstanceData.cat(results)
        if len(merged) == 0:
            return merged
        shifted = shift_for_nms(merged.bboxes, samples[0].ori_shape)
        dets, keep = batched_nms(shifted, merged.scores, merged.labels, self.tta_cfg['nms'])
        merged = merged[keep]
        merged.scores = dets[:, 4]  # soft NMS lowers them
        return merged[: self.tta_cfg['max_per_img']]

    def _segment(self, feats: list[tuple[Tensor, ...]], views: list[SampleList], merged: InstanceList) -> InstanceList:
        """Predict masks at merged boxes in every view, average and paste them.

        Args:
            feats (list[tuple[Tensor]]): FPN features of each view.
            views (list[list[DetDataSample]]): Meta information of each view's images.
            merged (list[InstanceData]): As ``merge_preds`` gives them, an image each.

        Returns:
            list[InstanceData]: Final results, an image each.
        """
        roi_head = self.module.roi_head
        mask_sums, iou_sums = [0] * len(merged), [0] * len(merged)
        for x, samples in zip(feats, views):
            metas = [sample.metainfo for sample in samples]
            in_view = [self._in_view(results, _view_of(meta)) for results, meta in zip(merged, metas)]
            logits, ious = roi_head.predict_maps(self.module.roi_feats(x), in_view, samples)
            for i, meta in enumerate(metas):
                _, _, flip, direction = _view_of(meta)
                probabilities = logits[i].sigmoid()
                mask_sums[i] = mask_sums[i] + (probabilities.flip(_FLIPPED_AXES[direction]) if flip else probabilities)
                if ious is not None:
                    iou_sums[i] = iou_sums[i] + ious[i]
        masks = [mask_sum / len(views) for mask_sum in mask_sums]
        ious = None if roi_head.mask_iou_head is None else [iou_sum / len(views) for iou_sum in iou_sums]
        # the first view's frame, unflipped, stands for all: the roi_head brings it back to the original image
        metas = [sample.metainfo for sample in views[0]]
        results = [self._in_view(boxes, (*_view_of(meta)[:2], False)) for boxes, meta in zip(merged, metas)]
        return roi_head.finish(results, masks, ious, metas, rescale=True, probabilities=True)

    def _in_view(self, results: InstanceData, view: tuple) -> InstanceData:
        """Copy results with their boxes in pixels of a view, as its box head would have given them."""
        boxes = self.module.roi_head.from_edges(bbox_mapping(results.bboxes, *view))
        return InstanceData(bboxes=boxes, scores=results.scores, labels=results.labels)


def _view_of(meta: dict) -> tuple[tuple[int, int], tuple[float, ...], bool, str | None]:
    """Return a view's height and width, scale factors for x1, y1, x2, y2, whether it is flipped, and how."""
    scale = tuple(meta['scale_factor'][:2]) * 2
    return meta['img_shape'][:2], scale, meta.get('flip', False), meta.get('flip_direction')
