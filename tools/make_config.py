"""Writes a short config for your own data, annotated in COCO's format.

python tools/make_config.py export/annotations/instances_default.json --out balloons.py
python tools/train.py balloons.py

Takes a COCO annotation file, or the folder of an export that holds one or two (CVAT, Label Studio, Roboflow, COCO).
"""

import argparse
import sys
from pathlib import Path

from mmcentermask import apis
from mmcentermask.apis.starting_config import DEFAULT_BASE, find_exports, write_starting_config


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Write a short config for your own data.')
    parser.add_argument('annotations', type=Path, help='COCO annotation file, or the folder of an export')
    parser.add_argument('--images', type=Path, help='folder of the images (default: looked for beside the annotations)')
    parser.add_argument('--val', type=Path, help='annotations to validate on (default: of the export, or a tenth)')
    parser.add_argument('--val-images', type=Path, help='folder of the images to validate on')
    parser.add_argument('--base', default=DEFAULT_BASE, help='config to inherit (default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=4, help='images an iteration (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('own_data.py'), help='config to write (default: %(default)s)')
    return parser.parse_args(argv)


def make_config(args: argparse.Namespace) -> None:
    """Write the config, and say what it holds."""
    apis.check_least(args, batch_size=1)
    if args.out.exists():
        raise apis.InputError(f'{args.out} is there already: name another file with --out, or delete it.')
    train, val = find_exports(args.annotations, args.images)
    if args.val is not None:
        val, _ = find_exports(args.val, args.val_images or args.images)
    told = write_starting_config(args.out, train, val, args.base, args.batch_size)
    print('\n'.join([f'{args.out}: {told[0]}', *told[1:], f'next: python tools/train.py {args.out}']))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return apis.report_input_errors(make_config, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
