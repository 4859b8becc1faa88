"""Panoptic-CenterMask: CenterMask for the things, a semantic branch for the stuff, fused into one map."""

import copy

from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType
from torch import Tensor

from ..errors import ConfigError
from .centermask import CenterMask


@MODELS.register_module()
class PanopticCenterMask(CenterMask):
    """CenterMask with a semantic head, whose answers a fusion head brings together, as Panoptic FPN does.

    Labels of things are 0..T - 1, those of stuff T..T + S - 1, and T + S is void.

    Args:
        *args: As CenterMask.
        semantic_head (dict): StuffHead, which reads the neck's levels from the finest on.
        panoptic_fusion_head (dict): PanopticFusionHead.
        num_classes (int): T, number of thing classes: written into every head.
        num_stuff_classes (int): S, number of stuff classes: written into the semantic head and the fusion head.
        test_cfg (dict, optional): As CenterMask, and ``panoptic``, the settings of the fusion head.
        **kwargs: As CenterMask.

    Raises:
        ConfigError: As CenterMask, or if ``num_stuff_classes`` is not a positive whole number, or all classes together
            are more than the 254 that a ground truth of bytes holds beside void.
    """

    def __init__(
        self,
        *args,
        semantic_head: ConfigType,
        panoptic_fusion_head: ConfigType,
        num_classes: int,
        num_stuff_classes: int,
        test_cfg: ConfigType | None = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, num_classes=num_classes, test_cfg=test_cfg, **kwargs)
        if not isinstance(num_stuff_classes, int) or num_stuff_classes < 1:
            raise ConfigError(
                'PanopticCenterMask: num_stuff_classes must be a whole number of at least 1, '
                f'not {num_stuff_classes!r}; for data without stuff take CenterMask.'
            )
        if num_classes + num_stuff_classes > 254:
            raise ConfigError(
                f'PanopticCenterMask: num_classes={num_classes} and num_stuff_classes={num_stuff_classes} are more '
                'than 254 together: merge classes.'
            )
        numbers = dict(num_things_classes=num_classes, num_stuff_classes=num_stuff_classes)
        fusion_cfg = None if test_cfg is None else test_cfg['panoptic']
        self.semantic_head = MODELS.build({**copy.deepcopy(semantic_head), **numbers})
        self.panoptic_fusion_head = MODELS.build({**panoptic_fusion_head, **numbers, 'test_cfg': fusion_cfg})

    def loss_by_feat(self, x: tuple[Tensor, ...], batch_data_samples: SampleList) -> dict:
        """Compute the losses of CenterMask and ``loss_seg``; the ground truth has ``gt_sem_seg``, (1, H, W), too."""
        losses = super().loss_by_feat(x, batch_data_samples)
        losses.update(self.semantic_head.loss(x, batch_data_samples))
        return losses

    def predict_by_feat(
        self, x: tuple[Tensor, ...], batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """Detect, segment and fuse.

        Returns:
            list[DetDataSample]: With ``pred_instances`` as CenterMask, and ``pred_panoptic_seg.sem_seg``, (1, H, W),
            int32: of each pixel its label, and for things the number of the object, from 1, times 1000 more.
        """
        batch_data_samples = super().predict_by_feat(x, batch_data_samples, rescale)
        metas = [sample.metainfo for sample in batch_data_samples]
        stuff = self.semantic_head.predict(x, metas, rescale)
        things = [sample.pred_instances for sample in batch_data_samples]
        for sample, fused in zip(batch_data_samples, self.panoptic_fusion_head.predict(things, stuff)):
            sample.pred_panoptic_seg = fused
        return batch_data_samples
