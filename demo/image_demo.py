"""Finds and segments the objects in a picture or a folder of pictures.

python demo/image_demo.py IMAGE_OR_FOLDER CONFIG --weights FILE --out-dir outputs
"""

import argparse
import sys
from pathlib import Path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Find and segment the objects in pictures.')
    parser.add_argument('inputs', metavar='IMAGE_OR_FOLDER', help='a picture, or a folder of pictures')
    parser.add_argument('config', help='config file')
    parser.add_argument('--weights', metavar='FILE', required=True, help='checkpoint of this config')
    parser.add_argument('--out-dir', default='outputs', help='folder to write to (default: %(default)s)')
    parser.add_argument('--device', help='where to predict (default: the GPU, else the CPU)')
    parser.add_argument('--pred-score-thr', type=float, default=0.3, help='least score to draw (default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=1, help='pictures at a time (default: %(default)s)')
    return parser.parse_args(argv)


def predict(args: argparse.Namespace) -> None:
    """Predict, draw and write as the command line says."""
    from mmcentermask import apis

    inferencer = apis.CenterMaskInferencer(args.config, args.weights, device=args.device)
    results = inferencer(
        args.inputs,
        batch_size=args.batch_size,
        pred_score_thr=args.pred_score_thr,
        out_dir=args.out_dir,
        no_save_pred=False,
    )
    predictions = results['predictions']
    drawn = sum(score >= args.pred_score_thr for prediction in predictions for score in prediction['scores'])
    print(
        f'{len(predictions)} picture(s), {drawn} object(s) with a score of {args.pred_score_thr:g} or more: '
        f'drawn in {Path(args.out_dir, "vis")}, as numbers in {Path(args.out_dir, "preds")}'
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    args = parse_args(argv)  # before the imports, which take seconds
    from mmcentermask import apis

    return apis.report_input_errors(predict, args)


if __name__ == '__main__':
    sys.exit(main())
