"""VarifocalNet's head (arXiv 2008.13367) in the place of CenterMaskHead."""

from mmdet.models.dense_heads import VFNetHead
from mmdet.registry import MODELS
from mmdet.utils import InstanceList
from torch import Tensor


@MODELS.register_module()
class CenterMaskVFNetHead(VFNetHead):
    """VFNetHead whose proposals in training are its boxes in evaluation.

    In training VFNetHead also gives the distances before refinement, and its prediction would take those for
    the boxes and the refined ones for score factors.

    Args: As VFNetHead.
    """

    def predict_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        bbox_preds_refine: list[Tensor] | None = None,
        **kwargs,
    ) -> InstanceList:
        """Decode a batch.

        Args:
            cls_scores (list[Tensor]): Class logits, a level each, (N, K, H, W).
            bbox_preds (list[Tensor]): Distances left, top, right, bottom in pixels, (N, 4, H, W); those before
                refinement where ``bbox_preds_refine`` is given.
            bbox_preds_refine (list[Tensor], optional): Refined distances, which the head gives in training only.
                Defaults to None.
            **kwargs: As BaseDenseHead: ``batch_img_metas``, ``cfg``, ``rescale``, ``with_nms``.

        Returns:
            list[InstanceData]: ``bboxes`` (n, 4) in pixels, clipped to the image, ``scores`` (n,),
            ``labels`` (n,), best first.
        """
        return super().predict_by_feat(
            cls_scores, bbox_preds if bbox_preds_refine is None else bbox_preds_refine, **kwargs
        )
