"""The training data of CenterMaskV1, as maskrcnn-benchmark prepares it.

Boxes stay x1, y1, x2, y2 with width x2 - x1, and CenterMaskV1 takes one annotated pixel, ``scale_factor`` pixels,
from x2 and y2. With that its boxes are the originals, legacy box offset included.
"""

import numpy as np
from mmdet.datasets.transforms import FilterAnnotations, RandomFlip, Resize
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type
from mmdet.structures.mask import PolygonMasks

from ..runtime.resizing import legacy_size

__all__ = ['FilterLegacyBoxes', 'LegacyRandomFlip', 'LegacyResize']


@TRANSFORMS.register_module()
class FilterLegacyBoxes(FilterAnnotations):
    """Clip boxes to the image and drop those that are empty with legacy offset, at most one pixel wide or high.

    It belongs before resizing: the pixel is one of the annotated image.

    >>> transform = FilterLegacyBoxes()
    """

    def __init__(self) -> None:
        super().__init__(min_gt_bbox_wh=(1.0, 1.0), keep_empty=True)  # mmdet's word for: None where nothing is left

    @autocast_box_type()
    def transform(self, results: dict) -> dict | None:
        """Clip and filter ``gt_bboxes`` and what belongs to them; None if no object is left."""
        results['gt_bboxes'].clip_(results['img_shape'])
        return super().transform(results)


@TRANSFORMS.register_module()
class LegacyResize(Resize):
    """Resize with PIL's bilinear filter so that the short side is exact and the other side truncated, not rounded.

    Args:
        scale (tuple[int, int]): Largest long side and short side in pixels, in any order.
        backend (str): Defaults to 'pillow'.
        **kwargs: As Resize; ``keep_ratio`` is always on.

    >>> LegacyResize(scale=(1333, 800))(dict(img=np.zeros((427, 640, 3), np.uint8)))['img'].shape
    (800, 1199, 3)
    """

    def __init__(self, scale: tuple[int, int], backend: str = 'pillow', **kwargs) -> None:
        kwargs['keep_ratio'] = False  # the size is computed here
        super().__init__(scale=scale, backend=backend, **kwargs)

    def _resize_img(self, results: dict) -> None:
        height, width = results['img'].shape[:2]
        results['scale'] = legacy_size(width, height, self.scale)
        super()._resize_img(results)


@TRANSFORMS.register_module()
class LegacyRandomFlip(RandomFlip):
    """Flip so that x moves to W - 1 - x, of polygons and of boxes with legacy offset.

    Args: As RandomFlip; ``direction`` is always horizontal.

    >>> transform = LegacyRandomFlip(prob=0.5)
    """

    @autocast_box_type()
    def _flip(self, results: dict) -> None:
        super()._flip(results)
        if 'gt_bboxes' in results:
            # ends W - x1 - 1 after the model has taken its pixel, which is scale_factor wide
            shift = results.get('scale_factor', (1.0, 1.0))[0] - 1
            results['gt_bboxes'].translate_((shift, 0))
        masks = results.get('gt_masks')
        if isinstance(masks, PolygonMasks):
            moved = [[part - np.resize([1, 0], len(part)) for part in parts] for parts in masks.masks]
            results['gt_masks'] = PolygonMasks(moved, masks.height, masks.width)
