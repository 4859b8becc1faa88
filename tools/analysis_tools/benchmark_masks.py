"""Times what follows the network, beside mmdet's: mask logits of 28 x 28 to RLE in pixels of the image.

python tools/analysis_tools/benchmark_masks.py --size 2160 3840
python tools/analysis_tools/benchmark_masks.py --annotations data/coco/annotations/instances_val2017.json --images 100

Of drawn objects in one image, or of objects in the boxes of a COCO file. On CPU; no network runs. Prints a table.
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
        images = [analysis.draw_mask_logits(args.masks, tuple(args.size), whole=args.whole)]
    else:
        images = analysis.read_mask_logits(args.annotations, args.masks, args.images)
    runs = {'ours, RLE': analysis.MaskPastingRun(images, ours=True, mask_format='rle')}
    if not args.ours_alone:
        runs = {
            "mmdet's FCNMaskHead, encoded": analysis.MaskPastingRun(images, ours=False),
            'ours, dense, encoded': analysis.MaskPastingRun(images, ours=True),
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
