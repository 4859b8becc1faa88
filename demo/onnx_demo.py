"""Finds and segments the objects of images, a video or a camera with an exported model, without torch.

python demo/onnx_demo.py IMAGE_OR_FOLDER ... model.onnx --out-dir outputs
python demo/onnx_demo.py street.mp4 model.onnx --out-dir outputs
python demo/onnx_demo.py 0 model.onnx --out-dir outputs --show      # the first camera, until q or Ctrl-C

draws them to outputs/vis/NAME.jpg (or .mp4) and writes outputs/preds/NAME.json, of a video NAME.jsonl with a line a
frame: bboxes (x1, y1, x2, y2 in pixels), labels, class_names, scores, mask_scores and masks (COCO RLE), one of each an
object.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from mmcentermask.atomic_write import atomic_write, check_writable
from mmcentermask.errors import InputError, MissingFileError, OutputError
from mmcentermask.image_inputs import list_images, result_names
from mmcentermask.runtime import Segmenter

VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg')


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


def read_frames(capture: cv2.VideoCapture, most: int | None, kept: deque) -> Iterator[np.ndarray]:
    """Yield frames, uint8 (H, W, 3) in BGR, and keep them for whoever draws."""
    number = 0
    while most is None or number < most:
        there, frame = capture.read()
        if not there:
            return
        kept.append(frame)
        number += 1
        yield frame


def predict_video(segmenter: Segmenter, source: str, args: argparse.Namespace) -> None:
    """Predict, draw and write a video or what a camera sees; Ctrl-C ends it in order."""
    is_camera = source.isdecimal()
    if not is_camera and not os.path.isfile(source):
        raise MissingFileError(f'there is no video {source}: correct the path.')
    # silent, for in the place of its warnings is the sentence below; OpenCV 5 has moved it
    (cv2.setLogLevel if hasattr(cv2, 'setLogLevel') else cv2.utils.logging.setLogLevel)(0)
    capture = cv2.VideoCapture(int(source) if is_camera else source)
    if not capture.isOpened():
        what = f'the camera {source}' if is_camera else f'the video {source}'
        how = 'see that it is connected and no other program uses it' if is_camera else 'give a complete file'
        raise InputError(f'{what} cannot be opened: {how}.')
    name = f'camera{source}' if is_camera else Path(source).stem
    video, lines = Path(args.out_dir, 'vis', f'{name}.mp4'), Path(args.out_dir, 'preds', f'{name}.jsonl')
    rate = capture.get(cv2.CAP_PROP_FPS)
    rate = rate if 1 <= rate <= 240 else 25
    number, began, writer, kept = 0, time.perf_counter(), None, deque()
    results = segmenter.predict(read_frames(capture, args.frames, kept), args.threshold, args.classes, args.batch_size)
    video.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=video.parent) as unfinished, atomic_write(lines) as file:
        path = os.path.join(unfinished, video.name)
        with contextlib.suppress(KeyboardInterrupt):
            for found in results:
                frame = found.draw(kept.popleft())
                if writer is None:
                    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'mp4v'), rate, frame.shape[1::-1])
                    if not writer.isOpened():
                        raise OutputError(f'{video} cannot be written by this OpenCV: pip install another one.')
                writer.write(frame)
                file.write(json.dumps({'frame': number, **found.to_dict()}).encode() + b'\n')
                number += 1
                if args.show and show(frame):
                    break
        if writer is None:
            raise InputError(f'{source} has no frame that can be read: give a complete video.')
        writer.release()
        os.replace(path, video)
    speed = number / (time.perf_counter() - began)
    print(f'{number} frame(s), {speed:.1f} a second: drawn in {video}, as numbers in {lines}')


def show(frame: np.ndarray) -> bool:
    """Show a frame; return whether q was pressed."""
    try:
        if sys.platform == 'linux' and not os.environ.keys() & {'DISPLAY', 'WAYLAND_DISPLAY'}:
            raise cv2.error('no screen')  # for which Qt would abort the process
        cv2.imshow('mmcentermask', frame)
        return cv2.waitKey(1) & 0xFF == ord('q')
    except cv2.error as error:
        raise InputError(
            '--show needs a screen and an OpenCV with windows: pip uninstall -y opencv-python-headless && pip install '
            'opencv-python, or leave it out.'
        ) from error


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    args = parse_args(argv)
    try:
        check_writable(args.out_dir)
        options = dict(backend=args.backend, device=args.device, threads=args.threads, max_per_img=args.max_per_img)
        first = args.inputs[0]
        if len(args.inputs) == 1 and (first.isdecimal() or first.lower().endswith(VIDEOS)):
            predict_video(Segmenter(args.model, **options), first, args)
        else:
            images = list_images(args.inputs, args.recursive)
            predict_images(Segmenter(args.model, **options), images, args)
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
