"""Puts objects and classes of pixels together into one panoptic map."""

import torch
from mmdet.models.seg_heads import HeuristicFusionHead
from mmdet.registry import MODELS
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mmcentermask.structures import decode_crop

from ..structures.segment_ids import INSTANCE_OFFSET


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
            mask, x, y = mask_results.masks[i], 0, 0
            if isinstance(mask, dict):
                crop, x, y = decode_crop(mask)
                mask = torch.from_numpy(crop).to(seg_preds.device)
            window = panoptic[y : y + mask.shape[0], x : x + mask.shape[1]]
            free = mask & (window == 0)
            area, left = mask.sum().item(), free.sum().item()
            if not left or area - left > self.test_cfg['mask_overlap'] * area:
                continue
            number += 1
            window.masked_fill_(free, mask_results.labels[i].item() + number * INSTANCE_OFFSET)
        free = panoptic == 0
        counts = torch.bincount(seg_preds[free], minlength=self.num_stuff_classes + 1)
        labels = torch.arange(len(counts), device=counts.device, dtype=torch.int32) + self.num_things_classes
        labels[:-1][counts[:-1] < self.test_cfg['stuff_area_limit']] = (
            self.num_classes
        )  # void, as things without object
        panoptic = torch.where(free, labels[seg_preds.int()], panoptic)
        return PixelData(sem_seg=panoptic[None])
