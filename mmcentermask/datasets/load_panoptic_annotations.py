"""Reads the segments of an image from its panoptic PNG."""

import numpy as np
from mmdet.datasets.transforms import LoadAnnotations, LoadPanopticAnnotations
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks
from mmengine.fileio import get

from ..errors import AnnotationError, ImageError, MissingFileError
from ..structures import decode_segment_ids

VOID = 255


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
        masks = [ids == segment['id'] for segment in results['segments_info']]
        seg_map = np.full(ids.shape, VOID, np.uint8)
        for segment, mask in zip(results['segments_info'], masks):
            seg_map[mask] = segment['category']
        results['gt_seg_map'] = seg_map
        things = [mask for segment, mask in zip(results['segments_info'], masks) if segment['is_thing']]
        results['gt_masks'] = BitmapMasks([mask.view(np.uint8) for mask in things], *ids.shape)
        absent = [segment['id'] for segment, mask in zip(results['segments_info'], masks) if not mask.any()]
        if absent:
            raise AnnotationError(
                f'segment {absent[0]} of {results["seg_map_path"]} stands in the annotation file, but no pixel has '
                'its color: give the PNG and the JSON of the same release.'
            )


def read_segment_ids(path: str, size: tuple[int, int], backend_args: dict | None = None) -> np.ndarray:
    """Read a panoptic PNG.

    Args:
        path (str): The file.
        size (tuple[int, int]): Height and width of its image.
        backend_args (dict, optional): As ``mmengine.fileio.get``. Defaults to None.

    Returns:
        np.ndarray: Ids of the segments, 0 for void, (H, W), int32.

    Raises:
        InputError: As LoadPanopticPNGAnnotations.
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
