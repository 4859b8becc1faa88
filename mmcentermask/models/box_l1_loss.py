"""L1 and smooth L1 losses in the place of GIoU: FCOS weighs whole boxes, mmdet's two weigh coordinates."""

from mmdet.models.losses import L1Loss, SmoothL1Loss
from mmdet.registry import MODELS
from torch import Tensor


class _WeighsBoxes:
    """Gives the weight of a box to each of its coordinates."""

    def forward(self, pred: Tensor, target: Tensor, weight: Tensor | None = None, **kwargs) -> Tensor:
        """Compute the loss.

        Args:
            pred (Tensor): Boxes of shape (P, 4).
            target (Tensor): Their targets, of the same shape and unit.
            weight (Tensor, optional): Weight of each box, shape (P,), or of each coordinate, (P, 4).
            **kwargs: ``avg_factor``, what the sum over boxes and coordinates is divided by;
                ``reduction_override``.

        Returns:
            Tensor: The loss, a scalar unless the reduction is ``'none'``.
        """
        if weight is not None and weight.dim() == 1:
            weight = weight[:, None].expand_as(pred)
        return super().forward(pred, target, weight=weight, **kwargs)


@MODELS.register_module()
class BoxL1Loss(_WeighsBoxes, L1Loss):
    """Sum of ``|x|`` over the four coordinates of a box, in CenterMaskHead in units of the stride.

    Args: As L1Loss.
    """


@MODELS.register_module()
class BoxSmoothL1Loss(_WeighsBoxes, SmoothL1Loss):
    """As BoxL1Loss, with ``0.5 x^2 / beta`` in place of ``|x| - 0.5 beta`` below ``beta``.

    Args: As SmoothL1Loss.
    """
