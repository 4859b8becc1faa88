"""Pastes masks that a model predicted into their boxes; ``mask_boundaries`` says how."""

import numpy as np
import torch
import torch.nn.functional as F
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from torch import Tensor

from .legacy_pasting import legacy_crops
from .mask_boundaries import find_boundaries
from .rle import encode_boundaries, encode_crop

GPU_BYTES = 1 << 30  # of the images that a GPU fills at once


def paste_masks(
    maps: Tensor, boxes: Tensor, height: int, width: int, threshold: float, mask_format: str
) -> Tensor | list[dict]:
    """Paste masks into their boxes by ``paste_rle`` or ``paste_dense``, as ``mask_format`` ('rle', 'dense') says.

    Returns RLEs, or masks (n, H, W), bool, which stay on a GPU if the maps are there.
    """
    if mask_format == 'rle':
        return paste_rle(maps, boxes, height, width, threshold)
    if not maps.is_cuda:
        return paste_dense(maps, boxes, height, width, threshold)
    # a GPU is fast at filling images that stay there
    images = maps.new_zeros((len(maps), height, width), dtype=torch.bool)
    for part in torch.arange(len(maps), device=maps.device).split(max(GPU_BYTES // (4 * height * width), 1)):
        values, _ = _do_paste_mask(maps[part, None], boxes[part], height, width, skip_empty=False)
        images[part] = values >= threshold
    return images


def paste_rle(maps: Tensor, boxes: Tensor, height: int, width: int, threshold: float = 0.5) -> list[dict]:
    """Paste masks into their boxes as RLEs.

    Equal, bit for bit, to FCNMaskHead's pasting on the CPU and pycocotools' encoding of the image. Tensors on
    another device are copied to the CPU, where the work is done.

    Args:
        maps (Tensor): Mask probabilities of shape (n, h, w).
        boxes (Tensor): x1, y1, x2, y2 in pixels of the image, (n, 4); they may leave it.
        height (int): H, of the image.
        width (int): W, of the image.
        threshold (float): Pixels of at least this probability belong to the mask; above 0. Defaults to 0.5.

    Returns:
        list[dict]: n compressed COCO codes: ``size`` [H, W] and ``counts``.
    """
    boundaries = find_boundaries(_array(maps), _array(boxes), height, width, threshold, _sample)
    return encode_boundaries(list(boundaries), height, width)


def paste_dense(maps: Tensor, boxes: Tensor, height: int, width: int, threshold: float = 0.5) -> Tensor:
    """Paste masks into their boxes as images: as ``paste_rle``, but returns (n, H, W), bool, on the CPU.

    The masks lie column by column in memory (strides of 1 along H), as the encoding of RLEs reads them.
    """
    # numpy's zeros take no memory until they are written to
    images = np.zeros((len(boxes), width * height), bool)
    found = find_boundaries(_array(maps), _array(boxes), height, width, threshold, _sample)
    for image, boundaries in zip(images, found):
        ends = boundaries.tolist()
        for on, off in zip(ends[::2], ends[1::2]):
            image[on:off] = True
    return torch.from_numpy(images.reshape(-1, width, height)).mT


def paste_legacy(
    maps: Tensor, boxes: Tensor, height: int, width: int, threshold: float = 0.5, mask_format: str = 'dense'
) -> Tensor | list[dict]:
    """Paste masks as maskrcnn-benchmark does; see ``legacy_crops``.

    Arguments and result are those of ``paste_masks``. Boxes come without the legacy offset, and pixels have to be above
    the threshold.
    """
    crops = legacy_crops(_array(maps), _array(boxes), height, width, threshold, _resize)
    if mask_format == 'rle':
        return [encode_crop(crop, left, top, height, width) for crop, left, top in crops]
    dense = np.zeros((len(boxes), height, width), bool)
    for image, (crop, left, top) in zip(dense, crops):
        image[top : top + crop.shape[0], left : left + crop.shape[1]] = crop
    return torch.from_numpy(dense).to(boxes.device)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().to('cpu', torch.float32).numpy()


def _sample(grid_map: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Sample a map (h, w) at points (p, 2) with the rounding of mmdet's pasting."""
    grid_map, points = torch.from_numpy(grid_map), torch.from_numpy(points)
    return F.grid_sample(grid_map[None, None], points[None, None], align_corners=False).flatten().numpy()


def _resize(grid_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a map (h, w) with the rounding of maskrcnn-benchmark."""
    grid_map = torch.from_numpy(grid_map)
    return F.interpolate(grid_map[None, None], size=size, mode='bilinear', align_corners=False)[0, 0].numpy()
