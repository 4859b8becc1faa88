"""Finds and segments the objects of an image that is much larger than what a model takes, tile by tile.

python demo/large_image_demo.py field.tif model.onnx --out-dir outputs

writes outputs/field.json (COCO's annotations, masks as RLE in pixels of the image) and outputs/field.jpg, an overview.
"""

import argparse
import sys
from pathlib import Path

from mmcentermask.atomic_write import check_writable
from mmcentermask.errors import InputError
from mmcentermask.runtime import Segmenter
from mmcentermask.runtime.command import run_command
from mmcentermask.runtime.large_image import read_reduced


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Find and segment the objects of a large image, tile by tile.')
    parser.add_argument('image')
    parser.add_argument('model', help='exported file (.onnx, .xml), config file, or the name of a model')
    parser.add_argument('--weights', metavar='FILE', help='checkpoint of the config')
    parser.add_argument('--out-dir', default='outputs', help='folder to write to (default: %(default)s)')
    parser.add_argument('--tile', type=int, default=800, help='side of a tile in pixels (default: %(default)s)')
    parser.add_argument('--overlap', type=float, default=0.25, help='of tiles, as a share (default: %(default)s)')
    parser.add_argument('--threshold', type=float, default=0.3, help='least score (default: %(default)s)')
    parser.add_argument('--classes', nargs='+', metavar='NAME', help='classes to keep (default: all)')
    parser.add_argument('--batch-size', type=int, default=1, help='tiles at a time (default: %(default)s)')
    parser.add_argument('--device', help='where to predict (default: the GPU, else the CPU)')
    parser.add_argument('--threads', type=int, help='of the CPU (default: all cores)')
    parser.add_argument('--side', type=int, default=3000, help='of the overview in pixels (default: %(default)s)')
    return parser.parse_args(argv)


def predict(args: argparse.Namespace) -> None:
    """Predict, draw and write as the command line says."""
    check_writable(args.out_dir)
    numbers, drawing = (Path(args.out_dir, f'{Path(args.image).stem}{suffix}') for suffix in ('.json', '.jpg'))
    if drawing.exists() and Path(args.image).exists() and drawing.samefile(args.image):
        raise InputError(f'{drawing} is the image itself: name another folder with --out-dir.')
    segmenter = Segmenter(args.model, args.weights, device=args.device, threads=args.threads)
    options = (args.tile, args.overlap, args.threshold, args.classes, args.batch_size)
    found = segmenter.predict_large(args.image, *options, progress=sys.stderr.isatty())
    found.save(numbers, form='coco')
    overview = read_reduced(args.image, args.side)
    found.resized(*overview.shape[:2]).save(drawing, overview)
    print(f'{len(found)} objects in {found.width} x {found.height} pixels: {numbers}, drawn in {drawing}')


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return run_command(predict, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
