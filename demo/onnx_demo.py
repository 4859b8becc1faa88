"""Finds and segments the objects of images, a video or a camera with an exported model, without torch.

python demo/onnx_demo.py IMAGE_OR_FOLDER ... model.onnx --out-dir outputs
python demo/onnx_demo.py street.mp4 model.onnx --out-dir outputs
python demo/onnx_demo.py 0 model.onnx --out-dir outputs --show      # the first camera, until q or Ctrl-C

draws them to outputs/vis/NAME.jpg (or .mp4) and writes outputs/preds/NAME.json, of a video NAME.jsonl with a line a
frame: bboxes (x1, y1, x2, y2 in pixels), labels, class_names, scores, mask_scores and masks (COCO RLE), one of each an
object.
"""

import argparse
import sys
from pathlib import Path

from mmcentermask.atomic_write import check_writable
from mmcentermask.errors import InputError
from mmcentermask.image_inputs import images_outside, list_images, result_names
from mmcentermask.runtime import Segmenter
from mmcentermask.runtime.command import run_command
from mmcentermask.runtime.video import is_video, predict_video, result_name, show_in_window


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Find and segment objects with an exported model, without torch.')
    parser.add_argument('inputs', metavar='INPUT', nargs='+', help='images, folders; or a video; or number of a camera')
    parser.add_argument('model', help='file that tools/export.py wrote, .onnx or .xml')
    parser.add_argument('--out-dir', default='outputs', help='folder to write to (default: %(default)s)')
    parser.add_argument('--recursive', action='store_true', help='look into the folders in folders, too')
    parser.add_argument('--backend', choices=['onnxruntime', 'openvino'], help='(default: what is installed)')
    parser.add_argument('--device', default='cpu', help='of the backend (default: %(default)s)')
    parser.add_argument('--threads', type=int, help='of the CPU (default: all cores)')
    parser.add_argument('--threshold', type=float, default=0.3, help='least score (default: %(default)s)')
    parser.add_argument('--classes', nargs='+', metavar='NAME', help='classes to keep (default: all)')
    parser.add_argument('--max-per-img', type=int, help="most objects of an image (default: the model's own)")
    parser.add_argument('--batch-size', type=int, default=1, help='images at a time (default: %(default)s)')
    parser.add_argument('--frames', type=int, help='of a video or camera, the most to read (default: all)')
    parser.add_argument('--show', action='store_true', help='show a video or camera in a window; q ends')
    return parser.parse_args(argv)


def predict_images(segmenter: Segmenter, images: list, args: argparse.Namespace) -> None:
    """Predict, draw and write images."""
    names, objects, failed = result_names(images), 0, 0
    results = segmenter.predict(iter(images), args.threshold, args.classes, args.batch_size)
    for found, name in zip(results, names):
        if found is None:
            failed += 1
            continue
        objects += len(found)
        found.save(Path(args.out_dir, 'preds', name.prediction))
        found.save(Path(args.out_dir, 'vis', name.drawing))
    print(f'{len(images) - failed} image(s), {objects} object(s): drawn in {args.out_dir}/vis, as numbers in '
          f'{args.out_dir}/preds')  # fmt: skip
    if failed:
        raise InputError(f'{failed} of {len(images)} images failed, which the warnings name.')


def predict_one_video(segmenter: Segmenter, source: str, args: argparse.Namespace) -> None:
    """Predict, draw and write a video or what a camera sees; Ctrl-C ends it in order."""
    video = Path(args.out_dir, 'vis', f'{result_name(source)}.mp4')
    lines = Path(args.out_dir, 'preds', f'{result_name(source)}.jsonl')
    show = show_in_window if args.show else None
    done = predict_video(segmenter, source, video, lines, args.threshold, args.classes, args.frames, show=show)
    print(f'{done.frames} frame(s), {done.speed:.1f} a second: drawn in {video}, as numbers in {lines}')


def predict(args: argparse.Namespace) -> None:
    """Predict as the command line says."""
    check_writable(args.out_dir)
    options = dict(backend=args.backend, device=args.device, threads=args.threads, max_per_img=args.max_per_img)
    if len(args.inputs) == 1 and is_video(args.inputs[0]):
        predict_one_video(Segmenter(args.model, **options), args.inputs[0], args)
    else:
        images = list_images(args.inputs, args.recursive)
        if args.recursive:
            images = images_outside(images, args.out_dir)
        predict_images(Segmenter(args.model, **options), images, args)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return run_command(predict, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
