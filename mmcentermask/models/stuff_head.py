"""The semantic branch of Panoptic FPN, with the loss of Panoptic-CenterMask and an answer in little memory."""

import torch
import torch.nn.functional as F
from mmdet.models.seg_heads import PanopticFPNHead
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class StuffHead(PanopticFPNHead):
    """PanopticFPNHead whose loss is taken at the size of the input, and which answers with classes.

    mmdet's loss compares logits of a quarter of the size with every fourth pixel of the ground truth.

    Args:
        *args: As PanopticFPNHead.
        **kwargs: As PanopticFPNHead.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.seg_rescale_factor = 1.0  # of the ground truth, to whose size the logits are brought

    def predict(self, x: tuple[Tensor, ...], batch_img_metas: list[dict], rescale: bool = False) -> list[Tensor]:
        """Classify every pixel.

        Args:
            x (tuple[Tensor]): FPN features from stride 4 on, each (N, C, h, w).
            batch_img_metas (list[dict]): Images' meta information.
            rescale (bool): Answer in pixels of the original image. Defaults to False.

        Returns:
            list[Tensor]: The best class of each pixel, (H, W), uint8: stuff is 0..S - 1, S stands for things.
        """
        logits = self(x)['seg_preds'].float()
        return [self._classify(image, meta, rescale) for image, meta in zip(logits.split(1), batch_img_metas)]

    @staticmethod
    def _classify(logits: Tensor, img_meta: dict, rescale: bool) -> Tensor:
        """Bring logits, (1, S + 1, h, w), to the size of the answer; a class at a time, as all may fill the memory."""
        height, width = img_meta['img_shape'][:2]
        best = classes = None
        for label, channel in enumerate(logits.split(1, dim=1)):
            # first to the padded input, as its pixels lie on the same grid, then from the image to its original size
            values = F.interpolate(channel, img_meta['batch_input_shape'], mode='bilinear')[..., :height, :width]
            if rescale:
                values = F.interpolate(values, img_meta['ori_shape'][:2], mode='bilinear')
            if best is None:
                best, classes = values.clone(), torch.zeros_like(values, dtype=torch.uint8)
                continue
            classes.masked_fill_(values > best, label)
            torch.maximum(best, values, out=best)
        return classes[0, 0]
