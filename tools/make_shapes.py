"""Writes a small COCO data set of overlapping textured shapes, to try training on.

python tools/make_shapes.py data/shapes --train 2000 --val 200 --size 192 --seed 0
"""

import argparse
import sys

from mmcentermask.datasets.shapes_coco import make_shapes


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description='Write a COCO data set of overlapping textured shapes.')
    parser.add_argument('out', metavar='OUT', help='folder to make')
    parser.add_argument('--train', type=int, default=2000, help='number of training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=200, help='number of held-out images (default: %(default)s)')
    parser.add_argument('--size', type=int, default=192, help='long side in pixels (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='another seed, other images (default: %(default)s)')
    parser.add_argument('--hard', action='store_true', help='more, smaller and less visible objects')
    parser.add_argument('--panoptic', action='store_true', help='draw them on stuff, with panoptic annotations, too')
    parser.add_argument('--force', action='store_true', help='replace shapes made with other options')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns 0, or 2 after one sentence on what is wrong."""
    args = parse_args(argv)
    try:
        make_shapes(**vars(args))
    except (ValueError, OSError) as error:
        reason = getattr(error, 'strerror', None)  # set when the system refused, not when make_shapes did
        text = f'cannot write {args.out} ({reason}): name a folder that you may write to.' if reason else error
        print(f'make_shapes: {text}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
