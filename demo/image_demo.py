"""Finds and segments the objects in images.

python demo/image_demo.py IMAGE_OR_FOLDER ... CONFIG --weights FILE --out-dir outputs

draws them to outputs/vis/NAME.jpg and writes outputs/preds/NAME.json: bboxes (x1, y1, x2, y2 in pixels), labels,
class_names, scores, mask_scores and masks (COCO RLE), one of each an object, and file_name, height and width. A
panoptic model gives the segments, too: their list in the JSON file, and which pixel is whose in preds/NAME.png.
"""

import argparse
import sys
from pathlib import Path


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Find and segment the objects in images.')
    parser.add_argument('inputs', metavar='IMAGE_OR_FOLDER', nargs='+', help='images, folders of images')
    parser.add_argument('config', help='config file, or the name of a model')
    parser.add_argument(
        '--weights', metavar='FILE', help='checkpoint of this config (default: of a name, the published one)'
    )
    parser.add_argument('--out-dir', default='outputs', help='folder to write to (default: %(default)s)')
    parser.add_argument('--recursive', action='store_true', help='look into the folders in folders, too')
    parser.add_argument('--device', help='where to predict (default: the GPU, else the CPU)')
    parser.add_argument('--pred-score-thr', type=float, default=0.3, help='least score to draw (default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=1, help='images at a time (default: %(default)s)')
    parser.add_argument(
        '--fast',
        nargs='?',
        const='fp32',
        choices=['fp32', 'bf16', 'fp16'],
        help='predict by a fast copy of the model: results equal but for rounding (fp32, the default), or faster yet',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        help='parts of the config to override, such as model.test_cfg.max_per_img=500 for more objects an image',
    )
    return parser.parse_args(argv)


def predict(args: argparse.Namespace) -> None:
    """Predict, draw and write as the command line says."""
    from mmcentermask import apis, prepare_for_inference
    from mmcentermask.apis.fast_inference import DTYPES
    from mmcentermask.image_inputs import images_outside
    from mmcentermask.model_index import is_model
    from mmcentermask.models import CenterMask

    if not args.out_dir:
        raise apis.InputError('--out-dir is empty: name a folder.')
    if args.weights is None and not is_model(args.config):
        raise apis.InputError(
            'there are no --weights: give a checkpoint of the config, or the name of a published model.'
        )
    # what needs no model, before it is made
    apis.check_prediction_options(args.batch_size, args.pred_score_thr, args.out_dir)
    apis.check_device(args.device)
    images = apis.list_images(args.inputs, args.recursive)
    if args.recursive:
        images = images_outside(images, args.out_dir)
    inferencer = apis.CenterMaskInferencer(args.config, args.weights, device=args.device, cfg_options=args.cfg_options)
    inferencer.show_progress = len(images) > 1 and sys.stdout.isatty()
    if args.fast is not None:
        if not isinstance(inferencer.model, CenterMask):
            name = type(inferencer.model).__name__
            raise apis.InputError(f'--fast is for a CenterMask, but this config has a {name}: leave it out.')
        inferencer.model = prepare_for_inference(inferencer.model, DTYPES[args.fast])
    results = inferencer(
        images,
        batch_size=args.batch_size,
        pred_score_thr=args.pred_score_thr,
        out_dir=args.out_dir,
        no_save_pred=False,
    )
    predictions = [prediction for prediction in results['predictions'] if prediction is not None]
    if predictions and 'segments_info' in predictions[0]:
        drawn = f'{sum(len(prediction["segments_info"]) for prediction in predictions)} segment(s)'
    else:
        drawn = sum(score >= args.pred_score_thr for prediction in predictions for score in prediction['scores'])
        drawn = f'{drawn} object(s) with a score of {args.pred_score_thr:g} or more'
    print(
        f'{len(predictions)} image(s), {drawn}: '
        f'drawn in {Path(args.out_dir, "vis")}, as numbers in {Path(args.out_dir, "preds")}'
    )
    if results['failed']:
        raise apis.InputError(f'{len(results["failed"])} of {len(images)} images failed, which the warnings name.')


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    args = parse_args(argv)  # before the imports, which take seconds
    from mmcentermask import apis

    return apis.report_input_errors(predict, args)


if __name__ == '__main__':
    sys.exit(main())
