"""Measures prediction on large and crowded images whose objects are known, beside SAHI's where it is installed.

python tools/analysis_tools/benchmark_large.py CONFIG CHECKPOINT --annotations FILE.json --ways tiles sahi whole:300

The images are mosaics of the images of a COCO file. They are predicted by tiles (``predict_large``), by SAHI with the
same tiles, and as a whole with a limit of objects. Prints a table; its MB are the peak beyond the loaded model.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from mmcentermask import Segmenter, analysis, apis
from mmcentermask.apis.run_config import named_missing_packages
from mmcentermask.datasets.coco import CocoReader
from mmcentermask.structures import encode_crop

PIPELINE = 'test_dataloader.dataset.pipeline.1.scale'  # of the resizing
_GROUND = 114  # grey, where no image lies


class Matches(NamedTuple):
    """How found objects fit those that are there, by masks, at an IoU of 0.5."""

    recall: float  # share of the objects that were found
    duplicates: int  # that were found before
    others: int  # that fit no object


def make_mosaic(coco: COCO, folder: str | Path, side: int, objects: int, cell: int) -> tuple[np.ndarray, list[dict]]:
    """Lay images of a COCO file onto random cells of a grey square, until it has a number of objects.

    ``side`` and ``cell`` are in pixels; images that are larger than a cell are left out.

    Returns:
        tuple: uint8 (side, side, 3), BGR, and ``objects`` or a few more RLEs.

    Raises:
        AnnotationError: If the square has too few cells, or no image fits a cell.
    """
    rng, codes = np.random.default_rng(0), []
    mosaic = np.full((side, side, 3), _GROUND, np.uint8)
    images = [image for image in coco.imgs.values() if coco.imgToAnns[image['id']]]
    fitting = [image for image in images if max(image['width'], image['height']) <= cell]
    cells = [(x, y) for y in range(0, side - cell + 1, cell) for x in range(0, side - cell + 1, cell)]
    for place in rng.permutation(len(cells)) if fitting else []:
        if len(codes) >= objects:
            break
        image = fitting[rng.integers(len(fitting))]
        x, y = cells[place]
        pixels = apis.read_image(Path(folder, image['file_name']))
        mosaic[y : y + image['height'], x : x + image['width']] = pixels
        for annotation in coco.imgToAnns[image['id']]:
            codes.append(encode_crop(coco.annToMask(annotation).astype(bool), x, y, side, side))
    if len(codes) < objects:
        raise apis.AnnotationError(
            f'{side} x {side} pixels have room for {len(codes)} objects: give less, or another size.'
        )
    return mosaic, codes


def match_masks(found: list[dict], truth: list[dict]) -> Matches:
    """Match the found RLEs of an image, the best first, with those that are there.

    >>> mask = dict(size=[2, 2], counts=b'04')
    >>> match_masks([mask, mask], [mask])
    Matches(recall=1.0, duplicates=1, others=0)
    """
    overlaps = mask_api.iou(found, truth, [0] * len(truth)) if found else np.zeros((0, len(truth)))
    matched, duplicates, others = set(), 0, 0
    for row in overlaps:
        free = [i for i in np.flatnonzero(row >= 0.5) if i not in matched]
        if free:
            matched.add(max(free, key=lambda i: row[i]))
        elif (row >= 0.5).any():
            duplicates += 1
        else:
            others += 1
    return Matches(len(matched) / len(truth), duplicates, others)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Measure prediction on large and crowded images.')
    parser.add_argument('config')
    parser.add_argument('weights')
    parser.add_argument('--annotations', required=True, metavar='FILE', help='COCO file')
    parser.add_argument('--images', metavar='FOLDER', help='of the file (default: val2017 beside its folder)')
    parser.add_argument('--cell', type=int, default=192, help='largest side of an image in it (default: 192)')
    parser.add_argument('--input', type=int, default=128, help='side to which the model resizes it (default: 128)')
    parser.add_argument('--sides', type=int, nargs='+', default=[1250, 2500, 5000, 10000], help='of the images')
    parser.add_argument('--objects', type=int, nargs='+', default=[31, 125, 500, 2000], help='in each')
    parser.add_argument('--ways', nargs='+', default=['tiles', 'sahi'], help='tiles, sahi, or whole:LIMIT')
    parser.add_argument('--tile', type=int, default=384, help='side in pixels (default: %(default)s)')
    parser.add_argument('--overlap', type=float, default=0.4, help='of tiles, as a share (default: %(default)s)')
    parser.add_argument('--threshold', type=float, default=0.3, help='least score (default: %(default)s)')
    parser.add_argument('--threads', type=int, default=1, help='(default: %(default)s)')
    return parser.parse_args(argv)


def _make_predict(args: argparse.Namespace, way: str, side: int) -> Callable[[str], list[dict]]:
    """Load the model; return what makes RLEs of the file of an image."""
    way, _, limit = way.partition(':')
    scale = round((side if way == 'whole' else args.tile) * args.input / args.cell)
    if way == 'sahi':
        return _sahi(args, scale)
    segmenter = Segmenter(
        args.config,
        args.weights,
        device='cpu',
        threads=args.threads,
        max_per_img=int(limit) if limit else None,
        cfg_options={PIPELINE: (scale, scale)},
    )
    if way == 'whole':
        return lambda path: segmenter.predict(path, args.threshold).rle
    return lambda path: segmenter.predict_large(path, args.tile, args.overlap, args.threshold).rle


def _sahi(args: argparse.Namespace, scale: int) -> Callable[[str], list[dict]]:
    with named_missing_packages('--ways sahi'):
        from sahi import AutoDetectionModel
        from sahi.predict import get_sliced_prediction

    torch.set_num_threads(args.threads)
    options = dict(config_path=args.config, confidence_threshold=args.threshold, image_size=scale, device='cpu')
    model = AutoDetectionModel.from_pretrained('mmdet', args.weights, **options)
    options = dict(slice_height=args.tile, slice_width=args.tile, verbose=0)
    options |= dict(overlap_height_ratio=args.overlap, overlap_width_ratio=args.overlap)

    def predict(path: str) -> list[dict]:
        found = get_sliced_prediction(path, model, **options).object_prediction_list
        masks = [one.mask for one in sorted(found, key=lambda one: -one.score.value)]
        return [mask_api.merge(mask_api.frPyObjects(mask.segmentation, *mask.full_shape)) for mask in masks]

    return predict


def benchmark(args: argparse.Namespace) -> None:
    """Measure and print."""
    apis.check_least(args, cell=1, input=1, threads=1)
    if len(args.sides) != len(args.objects):
        raise apis.InputError(f'--sides has {len(args.sides)} values, --objects {len(args.objects)}: give pairs.')
    if not Path(args.annotations).is_file():
        raise apis.MissingFileError(f'there is no annotation file {args.annotations}: give a COCO file.')
    for way in args.ways:
        if not re.fullmatch(r'tiles|sahi|whole(:[1-9]\d*)?', way):
            raise apis.InputError(f'--ways has {way!r}: give tiles, sahi or whole:LIMIT.')
    coco = CocoReader(args.annotations)
    images = args.images or Path(args.annotations).parents[1] / 'val2017'
    print('| image | objects | by | recall | found twice | others | seconds | MB |\n|' + '---|' * 8)
    for side, objects in zip(args.sides, args.objects):
        mosaic, truth = make_mosaic(coco, images, side, objects, args.cell)
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, 'mosaic.tif'))
            cv2.imwrite(path, mosaic)
            del mosaic
            for way in args.ways:
                predict, found = _make_predict(args, way, side), []
                began = time.perf_counter()
                memory = analysis.peak_memory(lambda: found.extend(predict(path)), 'cpu')  # noqa: B023 - runs at once
                seconds = time.perf_counter() - began
                recall, duplicates, others = match_masks(found, truth)
                row = f'| {side} x {side} | {len(truth)} | {way} | {recall:.3f} | {duplicates} | {others} '
                print(f'{row}| {seconds:.1f} | {(memory or 0) / 2**20:.0f} |', flush=True)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return apis.report_input_errors(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
