"""The box loss of the paper's authors: GIoU with one unit of area added to intersection and union."""

import torch
from mmdet.models.losses import GIoULoss
from mmdet.models.losses.utils import weight_reduce_loss
from mmdet.registry import MODELS
from torch import Tensor

_FAR = 1e8  # the farthest coordinate: beyond, areas would overflow, and infinite ones divide to NaN


@MODELS.register_module()
class SmoothedGIoULoss(GIoULoss):
    """Generalized IoU loss, smoothed as in the official CenterMask.

    With I the intersection, U the union and C the enclosing box's area::

        iou = (I + 1) / (U + 1);  loss = 1 - iou + (C - U) / C

    The 1 is in the square of the boxes' unit: CenterMaskHead gives boxes in strides, so there it is one
    cell of the feature level. mmdet's GIoULoss adds nothing and is a drop-in alternative.

    Args:
        eps (float): Smallest enclosing area, against division by zero. Defaults to 1e-6.
        reduction (str): ``'none'``, ``'mean'`` or ``'sum'``. Defaults to ``'mean'``.
        loss_weight (float): Defaults to 1.0.
    """

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            pred (Tensor): Boxes of shape (P, 4), x1, y1, x2, y2.
            target (Tensor): Their targets, of the same shape and unit.
            weight (Tensor, optional): Weight of each box, shape (P,).
            avg_factor (float, optional): What the sum is divided by; P by default.
            reduction_override (str, optional): In place of ``reduction``.

        Returns:
            Tensor: The loss, a scalar unless the reduction is ``'none'``.
        """
        pred, target = pred.float().clamp(-_FAR, _FAR), target.float()
        wh_pred = pred[:, 2:] - pred[:, :2]
        wh_target = target[:, 2:] - target[:, :2]
        inner = torch.min(pred[:, 2:], target[:, 2:]) - torch.max(pred[:, :2], target[:, :2])
        outer = torch.max(pred[:, 2:], target[:, 2:]) - torch.min(pred[:, :2], target[:, :2])
        intersection = inner.clamp(min=0).prod(dim=1)
        union = wh_pred.prod(dim=1) + wh_target.prod(dim=1) - intersection
        enclosing = outer.prod(dim=1).clamp(min=self.eps)
        loss = 1 - (intersection + 1) / (union + 1) + (enclosing - union) / enclosing
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction_override or self.reduction, avg_factor)
