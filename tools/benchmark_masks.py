"""Times what follows the network, beside mmdet's: mask maps of 28 x 28 to run lengths in pixels of the picture.

python tools/benchmark_masks.py --size 2160 3840
python tools/benchmark_masks.py --annotations data/coco/annotations/instances_val2017.json --images 100

Of drawn objects in one picture, or of objects in the boxes of a COCO file. On CPU; no network runs. Prints a table.
"""

import argparse
import os
import sys

import torch
from mmdet.utils import register_all_modules

from mmcentermask import analysis, apis


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Time the pasting and encoding of masks.')
    parser.add_argument('--size', type=int, nargs=2, default=[2160, 3840], metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--masks', type=int, default=100, help='a picture, of 32 to 512 pixels (default: %(default)s)')
    parser.add_argument('--whole', type=int, default=1, help='further masks over the whole picture (default: 1)')
    parser.add_argument('--annotations', metavar='FILE', help='take sizes and boxes from this COCO file')
    parser.add_argument('--images', type=int, default=100, help='of that file (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=3, help='counted runs of each (default: %(default)s)')
    parser.add_argument('--threads', type=int, help="threads (default: torch's)")
    parser.add_argument('--ours-alone', action='store_true', help="leave mmdet's out, which keeps whole pictures")
    return parser.parse_args(argv)


def check_args(args: argparse.Namespace) -> None:
    """Raise InputError on options that cannot work."""
    apis.check_least(args, masks=1, whole=0, images=1, repeats=1, threads=1)
    if min(args.size) < 1:
        raise apis.InputError(f'--size is {args.size[0]} {args.size[1]}: give a height and a width in pixels.')
    if args.annotations is not None and not os.path.isfile(args.annotations):
        raise apis.MissingFileError(f'there is no annotation file {args.annotations}: give a COCO file.')


def read_pictures(args: argparse.Namespace) -> list[analysis.FoundMasks]:
    """Draw or read what was found."""
    if args.annotations is None:
        return [analysis.draw_found(args.masks, tuple(args.size), whole=args.whole)]
    try:
        pictures = analysis.read_found(args.annotations, args.masks, args.images)
    except (KeyError, TypeError, ValueError) as error:
        raise apis.AnnotationError(f'{args.annotations} is no COCO file of objects: {error!r}.') from error
    if not pictures:
        raise apis.AnnotationError(f'{args.annotations} has no objects: give another file.')
    return pictures


def benchmark(args: argparse.Namespace) -> None:
    """Time and print."""
    check_args(args)
    register_all_modules()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    pictures = read_pictures(args)
    runs = {'ours, run lengths': analysis.MaskPasting(pictures, ours=True, mask_format='rle')}
    if not args.ours_alone:
        runs = {
            "mmdet's FCNMaskHead, encoded": analysis.MaskPasting(pictures, ours=False),
            'ours, dense, encoded': analysis.MaskPasting(pictures, ours=True),
            **runs,
        }
    results = analysis.measure(list(runs.values()), args.repeats)
    memory = [analysis.peak_memory(run, 'cpu') for run in runs.values()]
    rows = [
        analysis.Measured(name, result, peak, None, None, len(pictures[0].boxes))
        for name, result, peak in zip(runs, results, memory)
    ]
    print(analysis.table_of(rows))
    first, *others = [[run.run_lengths(picture) for picture in pictures] for run in runs.values()]
    if any(other != first for other in others):
        raise RuntimeError('ours and mmdet give different run lengths: times of different work cannot be compared.')
    pixels = sum(height * width for height, width in (picture.size for picture in pictures)) / len(pictures)
    print(
        f'\n{len(pictures)} pictures of {pixels / 1e6:.2f} megapixels on average, equal run lengths; '
        f'{analysis.hardware("cpu")}, {torch.get_num_threads()} threads; {args.repeats} runs; {analysis.versions()}.'
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return apis.report_input_errors(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
