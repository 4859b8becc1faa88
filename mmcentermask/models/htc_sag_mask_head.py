"""Spatial attention-guided masks in Hybrid Task Cascade (arXiv 1901.07518)."""

from mmdet.models.roi_heads.mask_heads import HTCMaskHead
from mmdet.registry import MODELS
from torch import Tensor

from .sag_mask_head import SAGMaskHead


@MODELS.register_module()
class HTCSAGMaskHead(HTCMaskHead, SAGMaskHead):
    """SAGMaskHead with the mask information flow of HTC.

    The next stage gets the features of the convolutions before attention weighs them, since it attends anew.

    Args:
        with_conv_res (bool): Take the features of the stage before. Defaults to True.
        *args: As SAGMaskHead.
        **kwargs: As SAGMaskHead.
    """

    def forward(
        self, x: Tensor, res_feat: Tensor | None = None, return_logits: bool = True, return_feat: bool = True
    ) -> Tensor | list[Tensor]:
        """Predict masks, and what the next stage needs.

        Args:
            x (Tensor): RoI features of shape (n, C, h, w).
            res_feat (Tensor, optional): Features of the stage before, (n, C', h, w). Defaults to None.
            return_logits (bool): Return mask logits. Defaults to True.
            return_feat (bool): Return features for the next stage. Defaults to True.

        Returns:
            Tensor or list[Tensor]: Mask logits (n, K, 2h, 2w), features (n, C', h, w), or a list of both.
        """
        feat = super().forward(x, res_feat, return_logits=False)
        outs = []
        if return_logits:
            outs.append(self.predict_logits(feat))
        if return_feat:
            outs.append(feat)
        return outs if len(outs) > 1 else outs[0]
