"""Finds and segments the objects of any number of images on one machine.

python tools/predict.py photos/ centermask_v39-ese_fpn_ms-3x_coco --weights FILE --out results

writes results/part-00000.jsonl, ...: a row an image, with file_name, height, width, bboxes (x1, y1, x2, y2 in pixels),
labels, class_names, scores, mask_scores and masks (COCO RLE), or with error for an image that cannot be used. A run
that was stopped goes on when it is started again.
"""

import argparse
import sys
from collections.abc import Callable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what tools/predict_ray.py has, too."""
    parser.add_argument(
        'inputs', metavar='INPUT', nargs='+', help='images, folders, patterns, lists (.txt), annotation files (.json)'
    )
    parser.add_argument('model', help='exported file (.onnx, .xml), config file, or the name of a model')
    parser.add_argument('--out', required=True, help='folder to write to')
    parser.add_argument('--weights', metavar='FILE', help='checkpoint of the config')
    parser.add_argument('--image-dir', metavar='FOLDER', help='of the paths in lists and annotation files')
    parser.add_argument('--format', choices=['jsonl', 'parquet'], default='jsonl', help='(default: %(default)s)')
    parser.add_argument('--part-size', type=int, default=500, help='images of a file (default: %(default)s)')
    parser.add_argument('--threshold', type=float, default=0.3, help='least score (default: %(default)s)')
    parser.add_argument('--classes', nargs='+', metavar='NAME', help='classes to keep (default: all)')
    parser.add_argument('--batch-size', type=int, default=1, help='images at a time (default: %(default)s)')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Find and segment the objects of any number of images.')
    add_arguments(parser)
    parser.add_argument('--device', help='where to predict (default: the GPU, else the CPU)')
    parser.add_argument('--threads', type=int, help='of the CPU (default: all cores)')
    return parser.parse_args(argv)


def predict(args: argparse.Namespace) -> None:
    """Predict as the command line says."""
    from mmcentermask.runtime import Segmenter
    from mmcentermask.runtime.many_images import predict_rows

    def rows(images):
        segmenter = Segmenter(args.model, args.weights, device=args.device, threads=args.threads)
        return predict_rows(segmenter, images, **prediction_options(args))

    write(args, rows)


def prediction_options(args: argparse.Namespace) -> dict:
    """Return the options of ``Segmenter.stream``."""
    return dict(threshold=args.threshold, classes=args.classes, batch_size=args.batch_size)


def write(args: argparse.Namespace, rows: Callable) -> None:
    """Write the rows of all images, and tell their number; see ``write_rows``."""
    from mmcentermask.errors import InputError
    from mmcentermask.runtime.many_images import find_images, write_rows

    if args.part_size < 1:
        raise InputError(f'--part-size is {args.part_size}: give 1 or more.')
    counts = write_rows(
        rows,
        find_images(args.inputs, args.image_dir),
        args.out,
        settings=dict(model=args.model, weights=args.weights, threshold=args.threshold, classes=args.classes),
        file_format=args.format,
        part_size=args.part_size,
        progress=sys.stderr.isatty(),
    )
    before = f' ({counts["done_before"]:,} were done before)' if counts['done_before'] else ''
    print(f'{counts["images"]:,} images{before}, {counts["objects"]:,} objects, in {args.out}')
    if counts['failed']:
        raise InputError(f'{counts["failed"]:,} images cannot be used; their rows have the reason as "error".')


def run(job: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    from mmcentermask.runtime.command import run_command

    try:
        return run_command(job, args)
    except KeyboardInterrupt:
        print('Interrupted; the same command goes on from here.', file=sys.stderr)
        return 130


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return run(predict, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
