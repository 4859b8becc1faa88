"""Draws what a CenterMask computes on its way from an image to masks.

python tools/visualize.py IMAGE MODEL [--weights FILE] [--out FILE]

shows the weights of eSE, classes and centerness at every level, which level each box reads (Eq. 1 beside Eq. 2), and of
the best objects the spatial attention and the mask before and after pasting.
"""

import argparse
import sys
from pathlib import Path

ENDINGS = ('.png', '.jpg', '.svg', '.pdf')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Draw what a CenterMask computes on its way to masks.')
    parser.add_argument('image', help='file or address')
    parser.add_argument('model', help='config file, or the name of a model')
    parser.add_argument(
        '--weights', metavar='FILE', help='checkpoint of this config (default: of a name, the published one)'
    )
    parser.add_argument('--out', metavar='FILE', help='.png, .jpg, .svg or .pdf (default: outputs/IMAGE_inside.png)')
    parser.add_argument('--threshold', type=float, default=0.3, help='least score (default: %(default)s)')
    parser.add_argument('--objects', type=int, default=3, help='objects to show the masks of (default: %(default)s)')
    parser.add_argument('--dpi', type=float, default=100, help='pixels an inch; 12 inches wide (default: %(default)s)')
    parser.add_argument('--device', help='where to predict (default: the GPU, else the CPU)')
    return parser.parse_args(argv)


def visualize(args: argparse.Namespace) -> None:
    """Predict, draw and write as the command line says."""
    from mmcentermask import apis
    from mmcentermask.apis.explanation import explain
    from mmcentermask.apis.torch_model import TorchModel
    from mmcentermask.atomic_write import atomic_write
    from mmcentermask.structures.instances import check_threshold
    from mmcentermask.visualization.explanation import draw_explanation

    apis.check_least(args, objects=1, dpi=10)
    check_threshold(args.threshold)
    out = Path(args.out or Path('outputs', f'{Path(args.image).stem}_inside.png'))
    if out.suffix not in ENDINGS:
        raise apis.InputError(f'--out is {out}: give a file whose name ends with one of {", ".join(ENDINGS)}.')
    apis.check_writable(out.parent, '--out')
    if args.model.endswith(('.onnx', '.xml')):
        raise apis.InputError(f'{args.model} is exported, and only its results can be seen: give config and --weights.')
    explanation = explain(TorchModel(args.model, args.weights, args.device), args.image)
    explanation = explanation[explanation.found.scores >= args.threshold]
    figure = draw_explanation(explanation, args.objects)
    with atomic_write(out, 'name another file with --out') as file:
        figure.savefig(file, format=out.suffix[1:], dpi=args.dpi)
    print(f'{len(explanation.found)} object(s) with a score of {args.threshold:g} or more: drawn in {out}')


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    args = parse_args(argv)  # before the imports, which take seconds
    from mmcentermask import apis

    return apis.report_input_errors(visualize, args)


if __name__ == '__main__':
    sys.exit(main())
