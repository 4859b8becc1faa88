"""Ground-truth masks cropped by boxes and resized, as mask heads learn them."""

import numpy as np
import torch
from mmcv.ops import roi_align
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from pycocotools import mask as mask_api
from torch import Tensor


def crop_masks(
    gt_masks: BitmapMasks | PolygonMasks,
    boxes: Tensor,
    gt_inds: Tensor,
    size: tuple[int, int],
    binarize: bool = True,
) -> Tensor:
    """Crop and resize a ground-truth mask for every box.

    The result is that of ``gt_masks.crop_and_resize``, without its loop over boxes, and without its copy of the whole
    mask for every box.

    Args:
        gt_masks (BitmapMasks or PolygonMasks): Masks of one image.
        boxes (Tensor): x1, y1, x2, y2 in pixels, (n, 4); they may leave the image.
        gt_inds (Tensor): Index into ``gt_masks`` for each box, (n,).
        size (tuple[int, int]): Height and width h, w of the result.
        binarize (bool): Round bitmaps to 0 and 1. Polygons are rounded in any case. Defaults to True.

    Returns:
        Tensor: Targets of shape (n, h, w), on the device and in the type of the boxes.

    Raises:
        ValueError: If polygons are not to be rounded.
    """
    if len(boxes) == 0:
        return boxes.new_zeros((0, *size))
    if isinstance(gt_masks, BitmapMasks):
        crops = _crop_bitmaps(gt_masks, boxes.detach(), gt_inds, size)
        return (crops >= 0.5).to(boxes) if binarize else crops
    if not binarize:
        raise ValueError('polygons have no fractions of pixels: soft_mask_target needs bitmap masks.')
    crops = _crop_polygons(gt_masks.masks, boxes.detach().cpu().numpy(), gt_inds.cpu().numpy(), size)
    return torch.from_numpy(crops).to(boxes)


def _crop_bitmaps(gt_masks: BitmapMasks, boxes: Tensor, gt_inds: Tensor, size: tuple[int, int]) -> Tensor:
    """Sample each box from its mask, all in one call: (n, h, w), 0..1."""
    used, which = gt_inds.unique(return_inverse=True)
    # mmcv's RoIAlign reads memory as if it were contiguous, which bitmaps made from polygons are not
    bitmaps = torch.from_numpy(gt_masks.masks[used.cpu().numpy()]).to(boxes).contiguous()
    rois = torch.cat([which[:, None].to(boxes), boxes], dim=1)
    return roi_align(bitmaps[:, None], rois, size, 1.0, 0, 'avg', True).squeeze(1)


def _crop_polygons(
    polygons: list[list[np.ndarray]], boxes: np.ndarray, gt_inds: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Draw the polygons of each box's object in the box, resized: (n, h, w), 0 or 1."""
    # numbers one by one, as mmdet computes them: their precision depends on the version of numpy
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    scales = np.array([(size[1] / width, size[0] / height) for width, height in sides])
    parts: list[list[np.ndarray]] = [[] for _ in boxes]
    for gt_ind in np.unique(gt_inds).tolist():
        rois = np.flatnonzero(gt_inds == gt_ind)
        for part in polygons[gt_ind]:
            # whole numbers would be truncated when they are moved and resized
            part = part if part.dtype.kind == 'f' else part.astype(np.float64)
            moved = (part.reshape(1, -1, 2) - boxes[rois, None, :2]).astype(part.dtype)
            resized = (moved * scales[rois, None]).astype(part.dtype).reshape(len(rois), -1)
            for roi, polygon in zip(rois.tolist(), resized):
                parts[roi].append(polygon)
    codes = mask_api.frPyObjects([polygon for polygons in parts for polygon in polygons], *size)
    drawn = mask_api.decode(codes).transpose(2, 0, 1)
    counts = [len(polygons) for polygons in parts]
    return np.maximum.reduceat(drawn, np.cumsum([0, *counts[:-1]])) if len(drawn) > len(parts) else drawn
