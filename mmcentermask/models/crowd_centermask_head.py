"""CrowdCenterMaskHead: boxes learnt from annotations with crowds."""

import torch
from mmdet.registry import MODELS
from mmdet.utils import InstanceList, OptInstanceList
from torch import Tensor

from .centermask_head import CenterMaskHead


@MODELS.register_module()
class CrowdCenterMaskHead(CenterMaskHead):
    """CenterMaskHead that learns nothing about the class of a crowd inside of its box.

    A crowd, which is ``iscrowd`` in COCO's format and a group-of box in Open Images, says that objects of its
    class are there, not where each of them is. CenterMaskHead takes its points for background, as the authors do.
    Here the crowd's class takes no part in the classification loss at the points inside of its box, as in COCO's
    evaluation a detection inside of a crowd of its class is neither right nor wrong. The other classes count, and so
    do points that belong to an object of the crowd's class.

    Args: As CenterMaskHead.
    """

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        centernesses: list[Tensor],
        batch_gt_instances: InstanceList,
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: OptInstanceList = None,
    ) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            cls_scores (list[Tensor]): Class logits, a level each, (N, K, H, W).
            bbox_preds (list[Tensor]): Distances, (N, 4, H, W).
            centernesses (list[Tensor]): Centerness logits, (N, 1, H, W).
            batch_gt_instances (list[InstanceData]): ``bboxes`` (n, 4) in pixels and ``labels`` (n,), an image each.
            batch_img_metas (list[dict]): Images' meta information.
            batch_gt_instances_ignore (list[InstanceData], optional): The crowds, with ``bboxes`` and ``labels``.
                Defaults to None.

        Returns:
            dict[str, Tensor]: As CenterMaskHead.
        """
        if batch_gt_instances_ignore is not None and any(len(crowds) for crowds in batch_gt_instances_ignore):
            hidden = self._inside_crowds(cls_scores, batch_gt_instances, batch_gt_instances_ignore)
            # a logit so low is background with neither loss nor gradient
            cls_scores = [scores.masked_fill(mask, -100.0) for scores, mask in zip(cls_scores, hidden)]
        return super().loss_by_feat(
            cls_scores, bbox_preds, centernesses, batch_gt_instances, batch_img_metas, batch_gt_instances_ignore
        )

    def _inside_crowds(
        self, cls_scores: list[Tensor], batch_gt_instances: InstanceList, batch_crowds: InstanceList
    ) -> list[Tensor]:
        """Tell which (class, point) pairs lie in a crowd of that class: a level each, bool (N, K, H, W)."""
        sizes = [scores.shape[-2:] for scores in cls_scores]
        points = self.prior_generator.grid_priors(sizes, dtype=torch.float32, device=cls_scores[0].device)
        labels, _ = self.get_targets(points, batch_gt_instances)
        masks = []
        for scores, level_points, level_labels in zip(cls_scores, points, labels):
            mask = torch.zeros_like(scores, dtype=torch.bool).flatten(2)
            for image_mask, crowds in zip(mask, batch_crowds):
                for box, label in zip(crowds.bboxes, crowds.labels):
                    image_mask[label] |= ((level_points >= box[:2]) & (level_points <= box[2:])).all(dim=1)
            images, places = (level_labels.view(len(mask), -1) < self.num_classes).nonzero(as_tuple=True)
            mask[images, level_labels.view(len(mask), -1)[images, places], places] = False
            masks.append(mask.view_as(scores))
        return masks
