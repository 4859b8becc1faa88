"""Reads instance annotations in any mask form COCO knows."""

import numpy as np
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import TRANSFORMS
from pycocotools import mask as mask_api


def _area(rle: dict) -> int:
    """Return the number of pixels that an RLE covers."""
    counts = rle['counts']
    return sum(counts[1::2]) if isinstance(counts, list) else int(mask_api.area(rle))


@TRANSFORMS.register_module()
class LoadInstanceAnnotations(LoadAnnotations):
    """LoadAnnotations for boxes, labels and masks that keeps polygons where it can.

    An image whose (non-crowd) masks are all polygons gets PolygonMasks, from which the official mask targets
    follow and which cost little memory; an image with an RLE gets BitmapMasks. mmdet's ``poly2mask=False``
    silently ignores objects with an RLE. An instance without a mask, or whose RLE covers no
    pixel, is ignored, as mmdet does with one whose mask is invalid.

    Args:
        with_bbox (bool): Whether to load boxes. Defaults to True.
        with_mask (bool): Whether to load masks. Defaults to True; our configs write it out, as other packages look for
            ``with_mask=True`` in the pipeline.
        **kwargs: As LoadAnnotations, but for ``poly2mask``.
    """

    def __init__(self, with_bbox: bool = True, with_mask: bool = True, **kwargs) -> None:
        super().__init__(with_bbox=with_bbox, with_mask=with_mask, **kwargs)

    def _load_masks(self, results: dict) -> None:
        for instance in results.get('instances', []):
            mask = instance.setdefault('mask', [])
            if isinstance(mask, dict) and isinstance(mask.get('counts'), bytes):
                # as pycocotools writes it; mmdet would ignore the object
                mask = instance['mask'] = dict(mask, counts=mask['counts'].decode())
            if isinstance(mask, dict) and isinstance(mask.get('counts'), (list, str)) and not _area(mask):
                instance['mask'] = []
        self.poly2mask = any(
            isinstance(instance['mask'], dict)
            for instance in results.get('instances', [])
            if not instance['ignore_flag']
        )
        super()._load_masks(results)

    def _process_masks(self, results: dict) -> list:
        # whole numbers would stay int64, and be truncated where a mask target is cropped
        masks = super()._process_masks(results)
        return [[part.astype(np.float64) for part in mask] if isinstance(mask, list) else mask for mask in masks]
