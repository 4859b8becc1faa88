"""Puts objects and classes of pixels together into one panoptic map."""

import torch
from mmdet.models.seg_heads import HeuristicFusionHead
from mmdet.registry import MODELS
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from ..structures.panoptic_map import FUSION, fuse


@MODELS.register_module()
class PanopticFusionHead(HeuristicFusionHead):
    """HeuristicFusionHead that leaves out doubtful objects, and holds one mask of the image's size at a time.

    Args:
        *args: As HeuristicFusionHead.
        test_cfg (dict): ``score_thr``, ``mask_overlap`` and ``stuff_area_limit``, see ``structures.panoptic_map.fuse``.
        **kwargs: As HeuristicFusionHead.
    """

    def _predict_single(self, mask_results: InstanceData, seg_preds: Tensor, **kwargs) -> PixelData:
        """Fuse one image.

        Args:
            mask_results (InstanceData): ``scores``, ``labels`` and ``masks``: n RLEs, or (n, H, W), bool.
            seg_preds (Tensor): Best class of each pixel, (H, W): stuff is 0..S - 1, S stands for things.

        Returns:
            PixelData: ``sem_seg``, (1, H, W), int32, see PanopticCenterMask.
        """
        masks = mask_results.masks
        panoptic = fuse(
            mask_results.labels.tolist(),
            mask_results.scores.cpu().numpy(),
            masks if isinstance(masks, list) else masks.cpu().numpy(),
            seg_preds.cpu().numpy(),
            self.num_things_classes,
            self.num_stuff_classes,
            **{name: self.test_cfg[name] for name in FUSION},
        )
        return PixelData(sem_seg=torch.from_numpy(panoptic)[None].to(seg_preds.device))
