"""Dice loss on the masks of RoIs, the paper's other choice beside cross-entropy."""

import torch
from mmdet.models.losses import DiceLoss
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class MaskDiceLoss(DiceLoss):
    """mmdet's DiceLoss on the map of each RoI's own class, as mask heads call their losses.

    With p the probabilities and y the target of an RoI, summed over its pixels, the loss is
    ``1 - 2 sum(p y) / (sum(p) + sum(y))``, averaged over RoIs. DiceLoss itself takes one map an object.

    Args:
        naive_dice (bool): Sums as above; False squares p and y below the line, as V-Net does. Defaults to True.
        loss_weight (float): Defaults to 1.0.
        eps (float): Added above and below the line, against division by zero. Defaults to 1e-3.
        **kwargs: As DiceLoss.
    """

    def __init__(self, naive_dice: bool = True, loss_weight: float = 1.0, eps: float = 1e-3, **kwargs) -> None:
        super().__init__(naive_dice=naive_dice, loss_weight=loss_weight, eps=eps, **kwargs)

    def forward(self, pred: Tensor, target: Tensor, label: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            pred (Tensor): Mask logits of shape (n, K, h, w).
            target (Tensor): Targets of shape (n, h, w), 0..1.
            label (Tensor): Class of each RoI, which chooses the map, shape (n,).

        Returns:
            Tensor: The loss, a scalar; 0 without RoIs.
        """
        maps = pred[torch.arange(len(label), device=label.device), label].float()
        if len(maps) == 0:
            return maps.sum()
        return super().forward(maps, target.float())
