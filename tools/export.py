"""Exports a trained CenterMask to ONNX or OpenVINO, from image to masks, and compares the file with PyTorch.

python tools/export.py centermask-lite_v39-ese_fpn_ms-4x_coco work_dirs/lite/iter_360000.pth --out lite.onnx
"""

import argparse
import sys
from pathlib import Path

from mmcentermask import apis


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Export a trained CenterMask to ONNX or OpenVINO.')
    parser.add_argument('config', help='a config file, or the name of a model')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('--format', choices=['onnx', 'openvino'], default='onnx', help='(default: %(default)s)')
    parser.add_argument('--opset', type=int, help='of ONNX (default: 17, 19 with deformable convolutions)')
    parser.add_argument('--static', type=int, nargs=2, metavar=('H', 'W'), help='images of one size only, in pixels')
    parser.add_argument('--batch', type=int, help='a fixed number of images at a time (default: any)')
    parser.add_argument('--out', type=Path, help='file to write (default: NAME_OF_THE_CHECKPOINT.onnx or .xml)')
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help='override parts of the config')
    return parser.parse_args(argv)


def export(args: argparse.Namespace) -> None:
    """Export, verify, write."""
    # after the command line, for these take seconds to import
    from mmcentermask.export.describe import describe_model
    from mmcentermask.export.onnx_graph import to_onnx

    inferencer = apis.CenterMaskInferencer(args.config, args.checkpoint, 'cpu', cfg_options=args.cfg_options)
    metadata = describe_model(inferencer.model, inferencer.cfg)
    metadata.batch, metadata.static_shape = args.batch, args.static
    graph = to_onnx(inferencer.model, metadata, args.opset)
    from mmcentermask.atomic_write import atomic_write

    with atomic_write(args.out) as file:
        file.write(graph.SerializeToString())


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return apis.report_input_errors(export, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
