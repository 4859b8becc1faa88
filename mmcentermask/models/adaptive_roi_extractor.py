"""Which pyramid level an RoI reads: Eq. 2 of the CenterMask paper (section 3.2)."""

from collections.abc import Sequence

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptMultiConfig
from torch import Tensor

from ..errors import ConfigError

_FARTHEST = 8  # sides of the images of a batch, from the corner: RoIs reach no farther than that


@MODELS.register_module()
class AdaptiveRoIExtractor(SingleRoIExtractor):
    """RoIAlign from the level that fits the RoI's share of its image (Eq. 2).

    ``k = ceil(k_max - log2(A_input / A_RoI))``, clamped to ``k_min..k_max``. An RoI as large as its image
    reads P_kmax, one of half that area the level below, and so on; an RoI without area reads P_kmin. Eq. 1
    of FPN, mmdet's SingleRoIExtractor, measures an RoI against 224 pixels instead, whatever the image.

    Args:
        roi_layer (dict): Config of the RoI operator, for example
            ``dict(type='RoIAlign', output_size=14, sampling_ratio=0)``.
        out_channels (int): Channels of the features.
        featmap_strides (list[int]): Strides of the levels, finest first: 2 ** k_min, ..., 2 ** k_max.
            Defaults to (8, 16, 32).
        k_min (int): The finest level. Defaults to 3.
        k_max (int): The coarsest level. Defaults to 5.
        init_cfg (dict, optional): Defaults to None.

    Raises:
        ConfigError: If ``k_min`` is above ``k_max``, or the strides are not those of levels k_min..k_max.
    """

    def __init__(
        self,
        roi_layer: ConfigType,
        out_channels: int,
        featmap_strides: Sequence[int] = (8, 16, 32),
        k_min: int = 3,
        k_max: int = 5,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if k_min > k_max:
            raise ConfigError(f'AdaptiveRoIExtractor: k_min ({k_min}) must not be above k_max ({k_max}).')
        expected = [2**k for k in range(k_min, k_max + 1)]
        if list(featmap_strides) != expected:
            raise ConfigError(
                f'AdaptiveRoIExtractor: levels k_min={k_min}..k_max={k_max} have strides {expected}, '
                f'but featmap_strides is {list(featmap_strides)}.'
            )
        super().__init__(
            roi_layer=roi_layer,
            out_channels=out_channels,
            featmap_strides=list(featmap_strides),
            init_cfg=init_cfg,
        )
        self.k_min = k_min
        self.k_max = k_max

    def map_roi_levels(self, rois: Tensor, image_areas: Tensor | float) -> Tensor:
        """Apply Eq. 2.

        Args:
            rois (Tensor): RoIs of shape (n, 5): batch index, x1, y1, x2, y2 in pixels.
            image_areas (Tensor or float): Area in pixels of each RoI's image, shape (n,), or of all.

        Returns:
            Tensor: Index of the level of each RoI, 0 for P_kmin, shape (n,).
        """
        width, height = (rois[:, 3:5] - rois[:, 1:3]).clamp(min=0).unbind(dim=1)
        levels = torch.ceil(self.k_max + torch.log2(width * height / image_areas))
        # neither -inf, which is log2(0), nor NaN, which indexes no level, is above k_min
        return torch.where(levels > self.k_min, levels.clamp(max=self.k_max), self.k_min).long() - self.k_min

    @staticmethod
    def _bounded(rois: Tensor, farthest: float) -> Tensor:
        """Make RoIs (n, 5) that RoIAlign can take; ordinary ones stay as they are.

        On the CPU it fails at inverted and non-finite RoIs, and its work and memory grow with the area.
        """
        begin, end = rois[:, 1:].nan_to_num(nan=0.0).clamp(-farthest, farthest).split(2, dim=1)
        return torch.cat([rois[:, :1], begin, torch.maximum(begin, end)], dim=1)

    def forward(
        self,
        feats: tuple[Tensor, ...],
        rois: Tensor,
        roi_scale_factor: float | None = None,
        img_shapes: Sequence[tuple[int, int]] | None = None,
    ) -> Tensor:
        """Extract RoI features.

        Degenerate RoIs of a diverging model do no harm: a NaN coordinate counts as 0, one farther away than 8 sides of
        the batch's images is clamped there, and an inverted RoI counts as one without area.

        Args:
            feats (tuple[Tensor]): Levels P_kmin..P_kmax, each (N, C, H_k, W_k).
            rois (Tensor): RoIs of shape (n, 5): batch index, x1, y1, x2, y2 in pixels of the network's input.
            roi_scale_factor (float, optional): Enlarge the RoIs by this factor after their level is chosen.
            img_shapes (sequence of (height, width), optional): Size of each image of the batch before
                padding. Without it the padded size counts, as inside models that pass none.

        Returns:
            Tensor: Features of shape (n, C, h, w), in the type of ``feats``.
        """
        if img_shapes is None:
            image_areas = feats[0].shape[-2] * feats[0].shape[-1] * self.featmap_strides[0] ** 2
        else:
            image_areas = rois.new_tensor([height * width for height, width in img_shapes])[rois[:, 0].long()]
        rois = self._bounded(rois, _FARTHEST * max(feats[0].shape[-2:]) * self.featmap_strides[0])
        levels = self.map_roi_levels(rois, image_areas)
        if roi_scale_factor is not None:
            rois = self.roi_rescale(rois, roi_scale_factor)
        roi_feats = feats[0].new_zeros(len(rois), self.out_channels, *self.roi_layers[0].output_size)
        for i, (feat, roi_layer) in enumerate(zip(feats, self.roi_layers)):
            inds = (levels == i).nonzero().squeeze(1)
            if len(inds) > 0:
                # not every device has RoIAlign in reduced precision, coordinates need fp32 anyway, and on CPU it
                # reads a channels-last tensor as if it were contiguous
                roi_feats[inds] = roi_layer(feat.float().contiguous(), rois[inds].float()).to(roi_feats.dtype)
            elif feat.requires_grad:
                # keeps an unused level in the graph, so that processes of DDP agree; an empty slice,
                # since 0 times an overflown sum is not 0
                roi_feats = roi_feats + feat[..., :0].sum()
        return roi_feats
