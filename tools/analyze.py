"""Explains the scores of a model: kinds of errors, confusions, calibration, classes, sizes, images, mask scoring.

python tools/analyze.py CONFIG CHECKPOINT --out work_dirs/analysis
python tools/analyze.py CONFIG results.pkl        # of tools/test.py --out; or NAME.bbox.json, NAME.segm.json

prints tables and writes analysis.json, errors.png, confusion.png, worst.jpg, best.jpg and examples.jpg (images at equal
steps, not chosen; the annotated objects on the left, the predictions on the right). docs/evaluation.md says how to read
them. It needs hotcoco: pip install mmcentermask[evaluation]
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

    from mmcentermask.datasets.annotation_tables import CocoSplit
    from mmcentermask.evaluation.coco_results import Results


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Explain the scores of a model.')
    parser.add_argument('config', help='config file, or the name of a model')
    parser.add_argument(
        'results', metavar='CHECKPOINT', nargs='?', help='checkpoint, or predictions (.pkl, .bbox.json, .segm.json)'
    )
    parser.add_argument(
        '--out', metavar='DIR', help='folder to write to (default: work_dirs/NAME_OF_THE_CONFIG/analysis)'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='least score to count as found (default: %(default)s)'
    )
    parser.add_argument('--images', type=int, default=8, help='images of each sheet (default: %(default)s)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        help='parts of the config to override, as in training',
    )
    return parser.parse_args(argv)


def find_images(cfg: Config) -> CocoSplit:
    """Return the dataset to test on; raise InputError if it is none of COCO's instances in local files."""
    from mmcentermask import apis
    from mmcentermask.datasets.config_datasets import coco_splits

    splits = [split for split in coco_splits(cfg, ['test']) if split.images and not split.segments]
    if len(splits) != 1:
        raise apis.InputError(
            'the config has no test_dataloader of one COCO dataset of instances in local files: give one that has.'
        )
    return splits[0]


def predict(cfg: Config, checkpoint: str, ann_file: str) -> Results:
    """Predict all images to test on."""
    import tempfile

    from mmcentermask import apis
    from mmcentermask.evaluation.coco_results import results_metric, written_results

    cfg.load_from = checkpoint
    apis.start_processes(cfg, 'none')
    apis.check_once(cfg, apis.check_data_for_testing, apis.check_model_for_testing)
    with tempfile.TemporaryDirectory() as folder:
        runner = apis.build_runner(cfg)
        metric = results_metric(ann_file, folder)
        metric.dataset_meta = runner.test_evaluator.dataset_meta
        runner.test_evaluator.metrics = [metric]
        with apis.named_image_errors(cfg, 'test'):
            runner.test()
        return written_results(folder)


def analyze(args: argparse.Namespace) -> None:
    """Analyze as the command line says."""
    import contextlib
    import io
    import json
    from pathlib import Path

    from mmdet.registry import DATASETS

    from mmcentermask import apis
    from mmcentermask.datasets.coco import CocoReader
    from mmcentermask.datasets.config_datasets import leaves
    from mmcentermask.evaluation import coco_results, error_analysis, error_tables
    from mmcentermask.model_index import find_weights
    from mmcentermask.visualization import draw_confusion, draw_errors, png_of
    from mmcentermask.visualization.labelled_images import draw_sheets

    apis.check_least(args, images=1)
    if not 0 <= args.score_thr <= 1:
        raise apis.InputError(f'--score-thr is {args.score_thr}: give a score from 0 to 1.')
    cfg = apis.load_config(args.config, args.cfg_options)
    out = Path(args.out or Path(cfg.work_dir, 'analysis'))
    cfg.work_dir = str(out)
    apis.check_writable(out, '--out')
    error_analysis.check_hotcoco()
    split = find_images(cfg)
    source = str(args.results or find_weights(args.config))
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools says that it creates an index
        truth = CocoReader(split.ann_file)
        if coco_results.is_results_file(source):
            results = coco_results.read_results(source, truth, split.ann_file, split.classes)
    if not coco_results.is_results_file(source):
        results = predict(cfg, source, split.ann_file)
        coco_results.check_results(results, truth, source)
    analysis = error_analysis.analyze_results(truth, results, split.classes, args.score_thr)
    analysis.update(ann_file=split.ann_file, results=source)
    print(error_tables.tables_of_errors(analysis))
    files = {f'results.{form}.json': json.dumps(entries).encode() for form, entries in results.items()}
    files['analysis.json'] = json.dumps(analysis, indent=1).encode()
    files['errors.png'] = png_of(draw_errors(analysis), 110)
    files['confusion.png'] = png_of(draw_confusion(analysis), 110)
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = DATASETS.build(next(leaves(cfg.test_dataloader.dataset)))
    files.update(draw_sheets(dataset, results, analysis, args.images))
    apis.write_files(out, files)
    print(f'wrote {", ".join(files)} to {out}')


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    args = parse_args(argv)  # before the imports, which take seconds
    from mmcentermask import apis

    return apis.report_input_errors(analyze, args)


if __name__ == '__main__':
    sys.exit(main())
