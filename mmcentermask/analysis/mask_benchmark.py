"""Times what follows the network: small mask logits to RLE in pixels of the image, beside mmdet's head."""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional as F

from mmcentermask.datasets.coco import read_coco
from mmcentermask.errors import AnnotationError
from mmcentermask.models import SAGMaskHead

from .runs import encode_masks

__all__ = ['MaskLogits', 'MaskPastingRun', 'draw_mask_logits', 'read_mask_logits']

_WANTED = 'give a COCO file whose images have id, width and height and whose annotations have image_id and bbox'


class MaskLogits(NamedTuple):
    """What a mask head predicts for an image; N objects."""

    logits: Tensor  # (N, 1, 28, 28), of the objects' masks in their boxes
    boxes: Tensor  # (N, 4), x1, y1, x2, y2 in pixels of the image
    size: tuple[int, int]  # height and width of the image in pixels


def _blobs(count: int, generator: torch.Generator) -> Tensor:
    """Draw mask logits, (count, 1, 28, 28): round, with a wavy and crisp edge, as trained masks have."""
    waves = F.interpolate(torch.randn(count, 1, 6, 6, generator=generator), size=28, mode='bicubic')
    y, x = torch.meshgrid(*2 * [torch.arange(28) - 13.5], indexing='ij')
    return 1.2 * (11 - torch.hypot(x, y)) + 3 * waves


def draw_mask_logits(
    count: int, size: tuple[int, int], sides: tuple[float, float] = (32, 512), whole: int = 1
) -> MaskLogits:
    """Draw ``count`` objects, with sides uniform in ``sides`` (pixels), and ``whole`` whose box is the image.

    ``size`` is the height and width of the image, which also bounds the sides.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.tensor([size[1], size[0]], dtype=torch.float32)
    extent = (sides[0] + (sides[1] - sides[0]) * torch.rand(count, 2, generator=generator)).minimum(image)
    corner = torch.rand(count, 2, generator=generator) * (image - extent)
    boxes = torch.cat([corner, corner + extent], dim=1)
    boxes = torch.cat([boxes, torch.cat([torch.zeros(2), image]).expand(whole, 4)])
    return MaskLogits(_blobs(len(boxes), generator), boxes, tuple(size))


def read_mask_logits(ann_file: str, count: int, images: int) -> list[MaskLogits]:
    """Take the boxes of a COCO file, with drawn masks in them, for its first ``images`` that have objects.

    An image gets ``count`` boxes: those of its objects over and over, moved by up to a tenth of their size.

    Raises:
        InputError: If the file is not there, is no COCO file, or has no objects.
    """
    content, boxes = read_coco(ann_file), defaultdict(list)
    try:
        for entry in content['annotations']:
            boxes[entry['image_id']].append(entry['bbox'])
        found = [
            (torch.tensor(boxes[image['id']], dtype=torch.float32).reshape(-1, 4), image['width'], image['height'])
            for image in content['images']
            if image['id'] in boxes
        ][:images]
    except KeyError as error:
        raise AnnotationError(f'{ann_file} lacks the key {error} somewhere: {_WANTED}.') from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise AnnotationError(f'{ann_file} cannot be used ({error}): {_WANTED}.') from error
    if not found:
        raise AnnotationError(f'{ann_file} has no objects in its images: give another file.')
    generator, predicted = torch.Generator().manual_seed(0), []
    for known, image_width, image_height in found:
        x, y, width, height = known.repeat(-(-count // len(known)), 1)[:count].unbind(dim=1)
        x = x + (torch.rand(count, generator=generator) - 0.5) * 0.2 * width
        y = y + (torch.rand(count, generator=generator) - 0.5) * 0.2 * height
        corners = torch.stack([x, y, x + width, y + height], dim=1).clamp(min=0)
        corners = corners.minimum(torch.tensor([image_width, image_height] * 2))
        predicted.append(MaskLogits(_blobs(count, generator), corners, (image_height, image_width)))
    return predicted


class MaskPastingRun:
    """Takes the mask logits of images to RLE, as an evaluation does.

    Args:
        images (Sequence[MaskLogits]): One after the other.
        ours (bool): By SAGMaskHead or by mmdet's FCNMaskHead.
        mask_format (str): What SAGMaskHead makes: ``'rle'``, or ``'dense'`` masks that are encoded after it, as mmdet's
            are. Defaults to 'dense'.
    """

    def __init__(self, images: Sequence[MaskLogits], ours: bool, mask_format: str = 'dense') -> None:
        self.images = images
        head = SAGMaskHead if ours else FCNMaskHead
        self.head = head(num_convs=1, in_channels=8, conv_out_channels=8, num_classes=1)
        self.cfg = ConfigDict(mask_thr_binary=0.5, mask_format=mask_format)

    def paste(self, image: MaskLogits) -> Tensor | list[dict]:
        """Return masks in pixels of the image: RLE, or (N, H, W)."""
        results = InstanceData(bboxes=image.boxes.clone(), labels=torch.zeros(len(image.boxes), dtype=torch.long))
        meta = dict(ori_shape=image.size, scale_factor=(1.0, 1.0))
        return self.head.predict_by_feat((image.logits,), [results], [meta], self.cfg)[0].masks

    def rle(self) -> list[list[dict]]:
        """Return the RLE of each image."""
        return [encode_masks(self.paste(image)) for image in self.images]

    def __call__(self) -> dict[str, float]:
        """Run once; return the seconds of the two stages."""
        seconds = {'pasting': 0.0, 'encoding': 0.0}
        for image in self.images:
            began = time.perf_counter()
            masks = self.paste(image)
            pasted = time.perf_counter()
            encode_masks(masks)
            seconds['pasting'] += pasted - began
            seconds['encoding'] += time.perf_counter() - pasted
        return seconds
