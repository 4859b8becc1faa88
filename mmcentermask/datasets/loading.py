"""Reads images, of which damaged ones are named, masks in any form that COCO knows, and panoptic PNGs."""

import logging
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets import utils
from mmdet.datasets.transforms import LoadAnnotations, LoadPanopticAnnotations
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks
from mmengine.fileio import get
from mmengine.logging import print_log
from pycocotools import mask as mask_api

from ..errors import AnnotationError, ImageError, MissingFileError
from ..structures import decode_segment_ids

__all__ = [
    'LoadInstanceAnnotations',
    'LoadPanopticPNGAnnotations',
    'LoadTrainingImage',
    'read_segment_ids',
    'show_loaders_to_mmdet',
]

_SLOTS = 1 << 20  # bytes; data sets beyond a million images may leave a damaged one unnamed
_VOID = 255


@TRANSFORMS.register_module()
class LoadTrainingImage(LoadImageFromFile):
    """LoadImageFromFile that names an image which it cannot read, once, and returns None.

    The dataset then takes another image at random. For training only: an evaluation without some of its images would
    be of another dataset.

    Args:
        max_failures (int): Images that cannot be read in a row until training stops. Defaults to 1000.
        **kwargs: As LoadImageFromFile, but for ``ignore_empty``.
    """

    def __init__(self, max_failures: int = 1000, **kwargs) -> None:
        super().__init__(ignore_empty=False, **kwargs)
        self.max_failures, self._failures = max_failures, 0
        # workers are processes, and each image may come to any of them: they share what was named already
        self._named = torch.zeros(_SLOTS, dtype=torch.uint8).share_memory_()

    def transform(self, results: dict) -> dict | None:
        """Read the image.

        Args:
            results (dict): With ``img_path``, and ``sample_idx``, its number in the data set.

        Returns:
            dict or None: With ``img``, ``img_shape`` and ``ori_shape``; None if it cannot be read.

        Raises:
            ImageError: If it is the last of ``max_failures`` in a row.
        """
        try:
            results = super().transform(results)
        except (AssertionError, OSError, cv2.error) as error:  # not decoded, not to be read, empty
            slot = results.get('sample_idx', 0) % _SLOTS
            if not self._named[slot]:
                self._named[slot] = 1
                reason = error.strerror if isinstance(error, OSError) and error.strerror else 'cannot be decoded'
                # of all processes only the first shows what is below an error
                print_log(
                    f'damaged image {results["img_path"]} ({reason}): training takes another in its place.',
                    logger='current',
                    level=logging.ERROR,
                )
            self._failures += 1
            if self._failures == self.max_failures:
                raise ImageError(
                    f'none of {self._failures} training images in a row can be read, as the log says of each: replace '
                    'the damaged ones by complete copies; `python tools/check_dataset.py CONFIG` names them all.'
                ) from error
            return None
        self._failures = 0
        return results


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
        instances = results.get('instances', [])
        for instance in instances:
            mask = instance.setdefault('mask', [])
            if not isinstance(mask, dict):
                continue
            if isinstance(mask.get('counts'), bytes):
                # as pycocotools writes it; mmdet would ignore the object
                mask = instance['mask'] = dict(mask, counts=mask['counts'].decode())
            counts = mask.get('counts')
            if isinstance(counts, list):
                area = sum(counts[1::2])
            else:
                area = mask_api.area(mask) if isinstance(counts, str) else None
            if area == 0:
                instance['mask'] = []
        self.poly2mask = any(isinstance(i['mask'], dict) for i in instances if not i['ignore_flag'])
        super()._load_masks(results)

    def _process_masks(self, results: dict) -> list:
        # whole numbers would stay int64, and be truncated where a mask target is cropped
        masks = super()._process_masks(results)
        return [[part.astype(np.float64) for part in mask] if isinstance(mask, list) else mask for mask in masks]


@TRANSFORMS.register_module()
class LoadPanopticPNGAnnotations(LoadPanopticAnnotations):
    """LoadPanopticAnnotations without panopticapi, which says what is wrong with a PNG.

    Args:
        with_bbox (bool): As LoadPanopticAnnotations. Defaults to True.
        with_mask (bool): As LoadPanopticAnnotations. Defaults to True.
        with_seg (bool): As LoadPanopticAnnotations. Defaults to True.
        **kwargs: As LoadAnnotations.

    Raises:
        MissingFileError: If an image has no PNG.
        ImageError: If it cannot be decoded.
        AnnotationError: If it is not of the image's size, or has not the segments of the annotation file.
    """

    def __init__(self, with_bbox: bool = True, with_mask: bool = True, with_seg: bool = True, **kwargs) -> None:
        # LoadPanopticAnnotations itself insists on the package
        LoadAnnotations.__init__(self, with_bbox=with_bbox, with_mask=with_mask, with_seg=with_seg, **kwargs)

    def _load_masks_and_semantic_segs(self, results: dict) -> None:
        ids = read_segment_ids(results['seg_map_path'], results['ori_shape'][:2], self.backend_args)
        seg_map, things = np.full(ids.shape, _VOID, np.uint8), []
        for segment in results['segments_info']:
            mask = ids == segment['id']
            if not mask.any():
                raise AnnotationError(
                    f'segment {segment["id"]} of {results["seg_map_path"]} stands in the annotation file, but no pixel '
                    'has its color: give the PNG and the JSON of the same release.'
                )
            seg_map[mask] = segment['category']
            if segment['is_thing']:
                things.append(mask.view(np.uint8))
        results.update(gt_seg_map=seg_map, gt_masks=BitmapMasks(things, *ids.shape))


def read_segment_ids(path: str, size: tuple[int, int], backend_args: dict | None = None) -> np.ndarray:
    """Read the ids of the segments of a panoptic PNG, 0 for void, int32 (H, W).

    ``size`` is the height and width of its image, ``backend_args`` as in ``mmengine.fileio.get``. Raises InputError as
    LoadPanopticPNGAnnotations.
    """
    try:
        ids = decode_segment_ids(get(path, backend_args=backend_args))
    except FileNotFoundError as error:
        raise MissingFileError(
            f'there is no panoptic PNG {path}: unpack the PNGs of the annotations (of COCO, panoptic_*2017.zip inside '
            'of the archive) into the folder that data_prefix.seg names.'
        ) from error
    if ids is None:
        raise ImageError(f'the panoptic PNG {path} cannot be decoded: replace it by a complete copy.')
    if ids.shape != tuple(size):
        raise AnnotationError(
            f'the panoptic PNG {path} is {ids.shape[1]} x {ids.shape[0]}, but its image {size[1]} x {size[0]}: give '
            'the PNG of that image.'
        )
    return ids


class _KindOf:
    """Equal to a class and to each of its subclasses."""

    __hash__ = None

    def __init__(self, base: type) -> None:
        self.base = base

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, type) and issubclass(other, self.base)


def show_loaders_to_mmdet() -> None:
    """Let ``mmdet.datasets.get_loading_pipeline`` take subclasses of mmdet's loaders for loaders.

    analyze_results.py and others use it to find the loading part of a training pipeline. It compares classes by
    identity, and refuses a pipeline whose loaders are subclasses.
    """
    for name in ('LoadImageFromFile', 'LoadAnnotations'):
        base = getattr(utils, name)
        if isinstance(base, type):
            setattr(utils, name, _KindOf(base))
