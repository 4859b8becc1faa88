"""Spatial attention-guided mask (CenterMask, section 3.3): SpatialAttention and SAGMaskHead."""

import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmdet.utils import InstanceList
from mmengine.config import ConfigDict
from torch import Tensor, nn
from torch.nn.modules.utils import _pair


class SpatialAttention(nn.Module):
    """SAM: weighs every pixel of an RoI by how informative it is (Eq. 3 and 4).

    ``sigmoid(conv([mean over channels, max over channels]))``, multiplied in.

    Args:
        kernel_size (int): Of the convolution, which has no bias. Odd. Defaults to 3.
    """

    def __init__(self, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def attention_map(self, x: Tensor) -> Tensor:
        """Return the attention map, (n, 1, h, w), 0..1, of features ``x``, (n, C, h, w)."""
        pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return self.conv(pooled).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Weigh features ``x``, (n, C, h, w), by their attention map; the shape stays."""
        return x * self.attention_map(x)


@MODELS.register_module()
class SAGMaskHead(FCNMaskHead):
    """Mask head with spatial attention between the convolutions and the upsampling.

    A drop-in for FCNMaskHead in any mmdet model. Mask targets are cropped by the RoI as it is, not clipped
    to the image, since RoI features are not clipped either.

    Args:
        *args: As FCNMaskHead.
        attention_kernel (int): Kernel size of the spatial attention. Defaults to 3.
        **kwargs: As FCNMaskHead.
    """

    def __init__(self, *args, attention_kernel: int = 3, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.spatial_attention = SpatialAttention(attention_kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Predict masks.

        Args:
            x (Tensor): RoI features of shape (n, C, h, w).

        Returns:
            Tensor: Mask logits of shape (n, K, 2h, 2w).
        """
        for conv in self.convs:
            x = conv(x)
        x = self.spatial_attention(x)
        if self.upsample is not None:
            x = self.upsample(x)
            if self.upsample_method == 'deconv':
                x = self.relu(x)
        return self.conv_logits(x)

    def get_targets(
        self, sampling_results: list[SamplingResult], batch_gt_instances: InstanceList, rcnn_train_cfg: ConfigDict
    ) -> Tensor:
        """Crop and resize the ground-truth mask of every positive RoI.

        Args:
            sampling_results (list[SamplingResult]): RoIs and their ground truth, an image each.
            batch_gt_instances (list[InstanceData]): Ground truth with ``masks``, an image each.
            rcnn_train_cfg (dict): ``mask_size`` of the target in pixels; ``soft_mask_target`` keeps
                fractions of bitmap masks.

        Returns:
            Tensor: Targets of shape (n, mask_size, mask_size).
        """
        mask_size = _pair(rcnn_train_cfg.mask_size)
        targets = []
        for result, gt_instances in zip(sampling_results, batch_gt_instances):
            boxes = result.pos_priors
            if len(boxes) == 0:
                targets.append(boxes.new_zeros((0, *mask_size)))
                continue
            # unlike mask_target_single, the boxes are not clipped
            crops = gt_instances.masks.crop_and_resize(
                boxes.detach().cpu().numpy(),
                mask_size,
                inds=result.pos_assigned_gt_inds.cpu().numpy(),
                device=boxes.device,
                binarize=not rcnn_train_cfg.get('soft_mask_target', False),
            )
            targets.append(torch.from_numpy(crops.to_ndarray()).to(boxes))
        return torch.cat(targets)
