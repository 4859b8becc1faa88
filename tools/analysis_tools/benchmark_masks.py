"""Times what follows the network, beside mmdet's: mask logits of 28 x 28 to RLE in pixels of the image.

python tools/analysis_tools/benchmark_masks.py --size 2160 3840
python tools/analysis_tools/benchmark_masks.py --annotations data/coco/annotations/instances_val2017.json --images 100

Of drawn objects in one image, or of objects in the boxes of a COCO file. On CPU; no network runs. Prints a table.
"""

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional as F

from mmcentermask import analysis, apis
from mmcentermask.analysis.runs import encode_masks
from mmcentermask.datasets.coco import read_coco
from mmcentermask.models import SAGMaskHead

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
        raise apis.AnnotationError(f'{ann_file} lacks the key {error} somewhere: {_WANTED}.') from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise apis.AnnotationError(f'{ann_file} cannot be used ({error}): {_WANTED}.') from error
    if not found:
        raise apis.AnnotationError(f'{ann_file} has no objects in its images: give another file.')
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


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Time the pasting and encoding of masks.')
    parser.add_argument('--size', type=int, nargs=2, default=[2160, 3840], metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--masks', type=int, default=100, help='an image, of 32 to 512 pixels (default: %(default)s)')
    parser.add_argument('--whole', type=int, default=1, help='further masks over the whole image (default: 1)')
    parser.add_argument('--annotations', metavar='FILE', help='take sizes and boxes from this COCO file')
    parser.add_argument('--images', type=int, default=100, help='of that file (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=3, help='counted runs of each (default: %(default)s)')
    parser.add_argument('--threads', type=int, help="threads (default: torch's)")
    parser.add_argument('--ours-alone', action='store_true', help="leave mmdet's out, which keeps whole images")
    return parser.parse_args(argv)


def benchmark(args: argparse.Namespace) -> None:
    """Time and print."""
    apis.check_least(args, masks=1, whole=0, images=1, repeats=1, threads=1)
    if min(args.size) < 1:
        raise apis.InputError(f'--size is {args.size[0]} {args.size[1]}: give a height and a width in pixels.')
    if args.annotations is not None and not os.path.isfile(args.annotations):
        raise apis.MissingFileError(f'there is no annotation file {args.annotations}: give a COCO file.')
    register_all_modules()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    if args.annotations is None:
        images = [draw_mask_logits(args.masks, tuple(args.size), whole=args.whole)]
    else:
        images = read_mask_logits(args.annotations, args.masks, args.images)
    runs = {'ours, RLE': MaskPastingRun(images, ours=True, mask_format='rle')}
    if not args.ours_alone:
        runs = {
            "mmdet's FCNMaskHead, encoded": MaskPastingRun(images, ours=False),
            'ours, dense, encoded': MaskPastingRun(images, ours=True),
            **runs,
        }
    first, *others = [run.rle() for run in runs.values()]
    if any(other != first for other in others):
        raise RuntimeError('ours and mmdet give different RLE: times of different work cannot be compared.')
    times = analysis.time_interleaved(list(runs.values()), args.repeats)
    results = [
        analysis.BenchmarkResult(name, seconds, analysis.peak_memory(run, 'cpu'), boxes=len(images[0].boxes))
        for (name, run), seconds in zip(runs.items(), times)
    ]
    pixels = sum(height * width for height, width in (image.size for image in images)) / len(images)
    print(
        f'{analysis.benchmark_table(results)}\n\n'
        f'{len(images)} images of {pixels / 1e6:.2f} megapixels on average, equal RLE; {analysis.hardware("cpu")}, '
        f'{torch.get_num_threads()} threads; {args.repeats} runs; {analysis.versions()}.'
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return apis.report_input_errors(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
