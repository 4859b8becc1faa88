"""Exports a trained CenterMask to ONNX or OpenVINO, from image to masks, and compares the file with PyTorch.

python tools/export.py centermask-lite_v39-ese_fpn_ms-4x_coco lite.pth --data data/coco --out lite.onnx

The file gets its name once it has been found equal; docs/export.md says what is in it.
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from mmcentermask import apis
from mmcentermask.apis.run_config import read_options

SUFFIXES = {'onnx': '.onnx', 'openvino': '.xml'}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Export a trained CenterMask to ONNX or OpenVINO.')
    parser.add_argument('config', help='a config file, or the name of a model')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('--format', choices=SUFFIXES, default='onnx', help='(default: %(default)s)')
    parser.add_argument('--data', type=Path, metavar='DIR', help='images to compare by, for int8 with COCO annotations')
    parser.add_argument('--int8', action='store_true', help='quantize, by the images of --data')
    parser.add_argument('--symmetric', action='store_true', help='quantize as TensorRT wants it')
    parser.add_argument('--calibration-images', type=int, default=100, help='to quantize by (default: %(default)s)')
    parser.add_argument('--max-drop', type=float, default=0.01, help='mask AP int8 may lose (default: %(default)s)')
    parser.add_argument('--opset', type=int, help='of ONNX (default: 17, 19 with deformable convolutions)')
    parser.add_argument(
        '--static', type=int, nargs=2, metavar=('H', 'W'), help='take images of one size only, in pixels'
    )
    parser.add_argument('--batch', type=int, help='take a fixed number of images at a time (default: any)')
    parser.add_argument('--out', type=Path, help='file to write (default: named after the checkpoint)')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='override parts of the config'
    )
    return parser.parse_args(argv)


def export(args: argparse.Namespace) -> None:
    """Export, compare, write."""
    if args.out is None:
        args.out = Path(args.checkpoint).with_suffix(SUFFIXES[args.format])
    packages = ['onnx', 'onnxruntime'] if args.format == 'onnx' else ['onnx', 'openvino']
    for name in packages + ['nncf'] * (args.int8 and args.format == 'openvino'):
        if find_spec(name) is None:
            raise apis.InputError(f'this export needs the package {name}: pip install {name}.')
    apis.check_least(args, batch=1, max_drop=0, calibration_images=1)
    if args.static is not None and min(args.static) < 32:
        raise apis.InputError(f'--static is {args.static[0]} {args.static[1]}: give 32 pixels or more a side.')
    if args.int8 and args.data is None:
        raise apis.InputError('--int8 needs annotated images to quantize by: name their folder with --data.')
    if args.symmetric and not (args.int8 and args.format == 'onnx'):
        raise apis.InputError('--symmetric says how an ONNX file is quantized: give it with --int8 and --format onnx.')
    if args.out.suffix != SUFFIXES[args.format]:
        raise apis.InputError(f'--out is {args.out}: a file of this format ends with {SUFFIXES[args.format]}.')
    apis.check_writable(args.out.parent, '--out')
    # after the check of the packages, which these import
    from mmcentermask.export.export_model import export_model

    metadata = export_model(
        args.config,
        args.checkpoint,
        args.out,
        data=args.data,
        int8=args.int8,
        symmetric=args.symmetric,
        calibration_images=args.calibration_images,
        max_drop=args.max_drop,
        opset=args.opset,
        static_shape=args.static,
        batch=args.batch,
        cfg_options=read_options(args.cfg_options) if args.cfg_options else None,
    )
    print(f'written: {args.out} ({metadata.precision}, {args.out.stat().st_size / 2**20:.1f} MiB)')


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return apis.report_input_errors(export, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
