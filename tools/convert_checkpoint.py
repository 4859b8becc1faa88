#!/usr/bin/env python3
"""Convert a published checkpoint into one that a config of this package loads.

``python tools/convert_checkpoint.py SRC DST`` recognizes by the parameters' names what SRC is: CenterMask2
(detectron2), CenterMaskV1 (maskrcnn-benchmark), an ImageNet VoVNet of its authors, or timm's ese_vovnet.
"""

import argparse
import sys


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('src', metavar='SRC', help='the published checkpoint')
    parser.add_argument('dst', metavar='DST', nargs='?', help='where to write the converted one')
    parser.add_argument('--dry-run', action='store_true', help='only print what SRC is and how it would convert')
    args = parser.parse_args()
    if args.dst is None and not args.dry_run:
        parser.error('DST is missing: name the file to write, or give --dry-run.')
    return args


def main() -> int:
    """Convert; return the exit code."""
    args = parse_args()
    # after the command line, since these take seconds to import
    from mmcentermask.checkpoints import convert_checkpoint
    from mmcentermask.errors import InputError

    try:
        conversion = convert_checkpoint(args.src, None if args.dry_run else args.dst)
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(conversion.report().replace('checkpoint=DST', f'checkpoint={args.dst or "DST"}'))
    print('written: nothing (--dry-run)' if args.dry_run else f'written: {args.dst}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
