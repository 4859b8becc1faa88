#!/usr/bin/env python3
"""Convert a published checkpoint into one that a config of this package loads.

``python tools/convert_checkpoint.py SRC DST`` recognizes by the parameters' names what SRC is: CenterMask2
(detectron2), CenterMaskV1 (maskrcnn-benchmark), timm's ese_vovnet, or a VoVNet of its authors, which may be the
backbone of another model. SRC is a file or a name: timm://MODEL.TAG, hf://OWNER/REPO/FILE[@REVISION], https://...[#sha256=HEX],
or mmcentermask://NAME for one that --list names.

``--to img_backbone`` goes the other way: it writes a VoVNet, ours too, as PETR, StreamPETR and the like name it.
"""

import argparse
import sys


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('src', metavar='SRC', nargs='?', help='the published checkpoint: a file or a name')
    parser.add_argument('dst', metavar='DST', nargs='?', help='where to write the converted one')
    parser.add_argument('--dry-run', action='store_true', help='only print what SRC is and how it would convert')
    parser.add_argument(
        '--to', metavar='PREFIX', help="write VoVNet alone with its authors' names under PREFIX, such as img_backbone"
    )
    parser.add_argument('--list', action='store_true', help='only print the weights that are known by name')
    args = parser.parse_args(argv)
    if args.list:
        return args
    if args.src is None:
        parser.error('SRC is missing: name the checkpoint, or give --list.')
    if args.dst is None and not args.dry_run:
        parser.error('DST is missing: name the file to write, or give --dry-run.')
    return args


def convert(args: argparse.Namespace) -> None:
    """Convert and say what was done, or list the weights that are known by name."""
    from mmcentermask.checkpoints import convert_checkpoint, known_weights

    if args.list:
        for name, entry in known_weights().items():
            print(f'mmcentermask://{name}  {entry["what"]}  [{entry["licence"]}]')
        return
    conversion = convert_checkpoint(args.src, None if args.dry_run else args.dst, args.to)
    print(conversion.report().replace('checkpoint=DST', f'checkpoint={args.dst or "DST"}'))
    print('written: nothing (--dry-run)' if args.dry_run else f'written: {args.dst}')


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    args = parse_args(argv)  # before the imports, which take seconds
    from mmcentermask import apis

    return apis.report_input_errors(convert, args)


if __name__ == '__main__':
    sys.exit(main())
