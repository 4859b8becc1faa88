"""Finds and segments the objects of a video, a stream or a camera.

python demo/video_demo.py street.mp4 model.onnx --out-dir outputs
python demo/video_demo.py rtsp://HOST/STREAM CONFIG --weights FILE --realtime
python demo/video_demo.py 0 model.onnx --realtime --show      # the first camera, until q or Ctrl-C

draws them to outputs/NAME.mp4 and writes outputs/NAME.jsonl, a line a frame: frame, seconds, bboxes (x1, y1, x2, y2 in
pixels), labels, class_names, scores, mask_scores and masks (COCO RLE), one of each an object.
"""

import argparse
import sys
from pathlib import Path

from mmcentermask.atomic_write import check_writable
from mmcentermask.runtime import Segmenter
from mmcentermask.runtime.command import run_command
from mmcentermask.runtime.video import predict_video, result_name, show_in_window


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Find and segment the objects of a video, a stream or a camera.')
    parser.add_argument('source', metavar='VIDEO', help='file, address of a stream, or number of a camera')
    parser.add_argument('model', help='exported file (.onnx, .xml), config file, or the name of a model')
    parser.add_argument('--weights', metavar='FILE', help='checkpoint of the config')
    parser.add_argument('--out-dir', default='outputs', help='folder to write to (default: %(default)s)')
    parser.add_argument('--threshold', type=float, default=0.3, help='least score (default: %(default)s)')
    parser.add_argument('--classes', nargs='+', metavar='NAME', help='classes to keep (default: all)')
    parser.add_argument('--frames', type=int, help='the most to read (default: all)')
    parser.add_argument('--realtime', action='store_true', help='leave frames out where the model is too slow')
    parser.add_argument('--track', action='store_true', help='number the objects over frames (ByteTrack)')
    parser.add_argument('--no-video', action='store_true', help='write numbers alone')
    parser.add_argument('--show', action='store_true', help='show the frames in a window; q ends')
    parser.add_argument('--device', help='where to predict (default: the GPU, else the CPU)')
    parser.add_argument('--threads', type=int, help='of the CPU (default: all cores)')
    return parser.parse_args(argv)


def predict(args: argparse.Namespace) -> None:
    """Predict, draw and write as the command line says."""
    check_writable(args.out_dir)
    segmenter = Segmenter(args.model, args.weights, device=args.device, threads=args.threads)
    video, lines = (Path(args.out_dir, f'{result_name(args.source)}{suffix}') for suffix in ('.mp4', '.jsonl'))
    done = predict_video(
        segmenter,
        args.source,
        None if args.no_video else video,
        lines,
        args.threshold,
        args.classes,
        args.frames,
        args.realtime,
        args.track,
        show_in_window if args.show else None,
    )
    left_out = f', {done.dropped} left out' if done.dropped else ''
    drawn = '' if args.no_video else f'drawn in {video}, '
    print(f'{done.frames} frames{left_out}, {done.speed:.1f} a second, {done.objects} objects: {drawn}lines in {lines}')


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return run_command(predict, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
