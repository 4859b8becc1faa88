"""Times what follows the network: small mask maps to run lengths in pixels of the picture, ours beside mmdet's."""

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional as F

from mmcentermask.models import SAGMaskHead

from .benchmark import as_run_lengths

__all__ = ['FoundMasks', 'MaskPasting', 'draw_found', 'read_found']

_HEAD = dict(num_convs=1, in_channels=8, conv_out_channels=8, num_classes=1)


class FoundMasks(NamedTuple):
    """What a mask head found in a picture; N objects.

    Attributes:
        logits: (N, 1, 28, 28), of the objects' masks in their boxes.
        boxes: (N, 4), x1, y1, x2, y2 in pixels of the picture.
        size: Height and width of the picture in pixels.
    """

    logits: Tensor
    boxes: Tensor
    size: tuple[int, int]


def _blobs(count: int, generator: torch.Generator) -> Tensor:
    """Draw mask logits, (count, 1, 28, 28): round, with a wavy and crisp edge, as trained masks have."""
    waves = F.interpolate(torch.randn(count, 1, 6, 6, generator=generator), size=28, mode='bicubic')
    y, x = torch.meshgrid(*2 * [torch.arange(28) - 13.5], indexing='ij')
    return 1.2 * (11 - torch.hypot(x, y)) + 3 * waves


def draw_found(
    count: int, size: tuple[int, int], sides: tuple[float, float] = (32, 512), whole: int = 1, seed: int = 0
) -> FoundMasks:
    """Draw objects in a picture.

    Args:
        count (int): Objects with sides uniform in ``sides``, or less where the picture is smaller.
        size (tuple[int, int]): Height and width of the picture.
        sides (tuple[float, float]): Pixels. Defaults to (32, 512).
        whole (int): Further objects, whose box is the picture. Defaults to 1.
        seed (int): Defaults to 0.

    Returns:
        FoundMasks: ``count + whole`` objects.
    """
    generator = torch.Generator().manual_seed(seed)
    picture = torch.tensor([size[1], size[0]], dtype=torch.float32)
    extent = (sides[0] + (sides[1] - sides[0]) * torch.rand(count, 2, generator=generator)).minimum(picture)
    corner = torch.rand(count, 2, generator=generator) * (picture - extent)
    boxes = torch.cat([corner, corner + extent], dim=1)
    boxes = torch.cat([boxes, torch.cat([torch.zeros(2), picture]).expand(whole, 4)])
    return FoundMasks(_blobs(len(boxes), generator), boxes, tuple(size))


def read_found(ann_file: str, count: int, images: int, seed: int = 0) -> list[FoundMasks]:
    """Take the boxes of a COCO file, with drawn masks in them.

    Args:
        ann_file (str): A COCO file.
        count (int): Boxes an image: those of its objects over and over, moved by up to a tenth of their size.
        images (int): Take the first ones that have objects.
        seed (int): Defaults to 0.

    Returns:
        list[FoundMasks]: One an image.
    """
    with open(ann_file, encoding='utf-8') as file:
        content = json.load(file)
    boxes = {}
    for entry in content['annotations']:
        boxes.setdefault(entry['image_id'], []).append(entry['bbox'])
    generator = torch.Generator().manual_seed(seed)
    found = []
    for image in [image for image in content['images'] if image['id'] in boxes][:images]:
        known = torch.tensor(boxes[image['id']], dtype=torch.float32)
        x, y, width, height = known.repeat(-(-count // len(known)), 1)[:count].unbind(dim=1)
        x = x + (torch.rand(count, generator=generator) - 0.5) * 0.2 * width
        y = y + (torch.rand(count, generator=generator) - 0.5) * 0.2 * height
        corners = torch.stack([x, y, x + width, y + height], dim=1).clamp(min=0)
        limits = torch.tensor([image['width'], image['height']] * 2)
        found.append(FoundMasks(_blobs(count, generator), corners.minimum(limits), (image['height'], image['width'])))
    return found


class MaskPasting:
    """Takes the masks of pictures to run lengths, as an evaluation does.

    Args:
        pictures (Sequence[FoundMasks]): One after the other.
        ours (bool): By SAGMaskHead or by mmdet's FCNMaskHead.
        mask_format (str): What SAGMaskHead makes: ``'rle'``, or ``'dense'`` masks that are encoded after it, as mmdet's
            are. Defaults to 'dense'.
    """

    def __init__(self, pictures: Sequence[FoundMasks], ours: bool, mask_format: str = 'dense') -> None:
        self.pictures = pictures
        self.head = (SAGMaskHead if ours else FCNMaskHead)(**_HEAD)
        self.cfg = ConfigDict(mask_thr_binary=0.5, mask_format=mask_format)

    def masks(self, picture: FoundMasks) -> Any:
        """Return masks in pixels of the picture: run lengths, or (N, H, W)."""
        results = InstanceData(bboxes=picture.boxes.clone(), labels=torch.zeros(len(picture.boxes), dtype=torch.long))
        meta = dict(ori_shape=picture.size, scale_factor=(1.0, 1.0))
        return self.head.predict_by_feat((picture.logits,), [results], [meta], self.cfg)[0].masks

    def run_lengths(self, picture: FoundMasks) -> list[dict]:
        """Return run lengths of a picture, as a COCO evaluation takes them."""
        return as_run_lengths(self.masks(picture))

    def __call__(self) -> dict[str, float]:
        """Run once; return the seconds of the two stages."""
        seconds = {'pasting': 0.0, 'encoding': 0.0}
        for picture in self.pictures:
            began = time.perf_counter()
            masks = self.masks(picture)
            pasted = time.perf_counter()
            as_run_lengths(masks)
            seconds['pasting'] += pasted - began
            seconds['encoding'] += time.perf_counter() - pasted
        return seconds
