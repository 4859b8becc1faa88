"""Puts objects and classes of pixels together into one panoptic map."""

import torch
from mmdet.models.seg_heads import HeuristicFusionHead
from mmdet.registry import MODELS
from mmdet.structures import INSTANCE_OFFSET
from mmengine.structures import InstanceData, PixelData
from pycocotools import mask as mask_api
from torch import Tensor


@MODELS.register_module()
class PanopticFusionHead(HeuristicFusionHead):
    """HeuristicFusionHead that leaves out doubtful objects, and holds one mask of the image's size at a time.

    Objects are laid down from the best score to the worst, on pixels that no other has. What they leave is stuff.

    Args:
        *args: As HeuristicFusionHead.
        test_cfg (dict): ``score_thr``: objects of a lower score are left out; ``mask_overlap``: so are those of which
            more than this share lies on better ones; ``stuff_area_limit``: stuff of fewer pixels becomes void.
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
        panoptic = torch.zeros_like(seg_preds, dtype=torch.int32)  # a label and the number of an object; 0 is free
        number = 0
        for i in mask_results.scores.argsort(descending=True).tolist():
            if mask_results.scores[i] < self.test_cfg['score_thr']:
                break
            mask = mask_results.masks[i]
            if isinstance(mask, dict):
                mask = torch.from_numpy(mask_api.decode(mask)).to(seg_preds.device, torch.bool)
            free = mask & (panoptic == 0)
            area, left = mask.sum().item(), free.sum().item()
            if not left or area - left > self.test_cfg['mask_overlap'] * area:
                continue
            number += 1
            panoptic[free] = mask_results.labels[i].item() + number * INSTANCE_OFFSET
        free = panoptic == 0
        counts = torch.bincount(seg_preds[free], minlength=self.num_stuff_classes + 1)
        labels = torch.arange(self.num_stuff_classes + 1, device=counts.device) + self.num_things_classes
        labels[:-1][counts[:-1] < self.test_cfg['stuff_area_limit']] = self.num_classes  # as the things' own, void
        panoptic[free] = labels.int()[seg_preds[free].int()]
        return PixelData(sem_seg=panoptic[None])
