"""Times detectors side by side in one process, in turn, stage by stage.

python tools/benchmark.py mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py \
    configs/centermask/centermask_v39-ese_fpn_ms-3x_coco.py --variants plain fp32 bf16 --threads 2

Any detector of mmdet can be timed, a CenterMask by stages; the first one is what the others are compared with. Writes
table.md, results.csv and times.png. With --train it times training steps.
"""

import argparse
import copy
import sys
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmdet.registry import VISUALIZERS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.hub import get_config
from torch import nn

from mmcentermask import analysis, apis, prepare_for_inference
from mmcentermask.apis.checkpoint_check import check_same_model, read_checkpoint
from mmcentermask.inference import DTYPES, keep_memory
from mmcentermask.models import CenterMask

PREPARED = {name: dict(dtype=dtype) for name, dtype in DTYPES.items()} | {'fp32-direct': dict(winograd=False)}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Time detectors side by side.')
    parser.add_argument('configs', nargs='+', help="config files, or mmdet's own as mmdet::mask_rcnn/NAME.py")
    parser.add_argument(
        '--checkpoints', nargs='+', metavar='FILE', help='one for each config, or none for random weights'
    )
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=('plain', *PREPARED),
        default=['plain'],
        help="of each CenterMask; fp32-direct is fp32 without Winograd's way",
    )
    parser.add_argument('--image', help='a picture in the place of the drawn one')
    parser.add_argument(
        '--size', type=int, nargs=2, default=[800, 1205], metavar=('HEIGHT', 'WIDTH'), help='of the drawn picture'
    )
    parser.add_argument('--repeats', type=int, default=5, help='counted runs of each (default: %(default)s)')
    parser.add_argument('--threads', type=int, help="threads on CPU (default: torch's)")
    parser.add_argument('--device', default='cpu', help='cpu or cuda (default: %(default)s)')
    parser.add_argument('--mask-format', choices=['dense', 'rle'], default='rle', help='of CenterMask (default: rle)')
    parser.add_argument(
        '--keep-memory',
        action='store_true',
        help='from run to run on CPU for every model, not for prepared ones alone',
    )
    parser.add_argument('--draw', action='store_true', help='time the drawing of the predictions too')
    parser.add_argument('--train', action='store_true', help='time training steps')
    parser.add_argument('--batch', type=int, help='images at a time (default: 1, for training steps 2)')
    parser.add_argument('--objects', type=int, default=7, help='objects in a training image (default: %(default)s)')
    parser.add_argument('--out', default='work_dirs/benchmark', help='folder to write to (default: %(default)s)')
    return parser.parse_args(argv)


def check_args(args: argparse.Namespace) -> None:
    """Raise InputError on options that cannot work."""
    apis.check_least(args, repeats=1, threads=1, batch=1, objects=1)
    if min(args.size) < 32:
        raise apis.InputError(f'--size is {args.size[0]} {args.size[1]}: give 32 pixels or more a side.')
    if args.checkpoints is not None and len(args.checkpoints) != len(args.configs):
        raise apis.InputError(
            f'--checkpoints names {len(args.checkpoints)} for {len(args.configs)} configs: give one for each, or none.'
        )
    if args.train and args.variants != ['plain']:
        raise apis.InputError('--train times plain models, for prepared ones cannot be trained: leave --variants out.')
    if args.device != 'cpu' and not torch.cuda.is_available():
        raise apis.InputError(f'--device is {args.device}, and there is no GPU here: leave it out.')


def read_config(path: str) -> Config:
    """Read a config file, or one of mmdet's own."""
    if '::' not in path:
        return apis.load_config(path)
    try:
        return get_config(path)
    except (FileNotFoundError, ImportError, RuntimeError, ValueError) as error:
        raise apis.InputError(f'there is no config {path}: {error}') from error


def read_picture(args: argparse.Namespace) -> np.ndarray:
    """Read or draw the picture, (H, W, 3), BGR."""
    if args.image is None:
        return analysis.draw_picture(*args.size)
    picture = mmcv.imread(args.image) if Path(args.image).is_file() else None
    if picture is None:
        raise apis.ImageError(f'cannot read the image {args.image}: give a picture file.')
    return picture


def build(cfg: Config, checkpoint: str | None, data: dict, device: str) -> nn.Module:
    """Build a model, with a checkpoint's weights or random ones and a threshold that leaves its best boxes."""
    model = analysis.build_untrained(cfg).to(device)
    if checkpoint is None:
        analysis.leave_best_boxes(model, data)
    else:
        weights = read_checkpoint(checkpoint)
        check_same_model(model, weights, checkpoint)
        model.load_state_dict(weights.get('state_dict', weights))
    return model


def draw_with(cfg: Config, picture: np.ndarray):
    """Make a function that draws predictions onto the picture."""
    visualizer = VISUALIZERS.build(dict(type='CenterMaskVisualizer', name=f'benchmark {id(cfg)}'))
    names = [f'class {i}' for i in range(2000)]
    visualizer.dataset_meta = dict(classes=names, palette=[(220, 20, 60)] * len(names))
    rgb = picture[..., ::-1].copy()
    return lambda sample: visualizer.add_datasample('', rgb, sample, draw_gt=False, pred_score_thr=0.0)


def variants_of(model: nn.Module, names: list[str]) -> dict[str, nn.Module]:
    """Make the variants of a model; of what is no CenterMask the plain one alone."""
    if not isinstance(model, CenterMask):
        return {'plain': model}
    try:
        return {n: model if n == 'plain' else prepare_for_inference(model, **PREPARED[n]) for n in names}
    except RuntimeError as error:
        raise apis.InputError(str(error)) from error


def describe(args: argparse.Namespace, picture: np.ndarray) -> str:
    """Say what the numbers include, and where they are from."""
    if args.train:
        told = (
            f'A training step on {args.batch} images with {args.objects} objects each, the same for every model, in '
            'memory: pre-processing on the device, losses, backward pass and SGD; no loading and no augmentation. '
        )
    else:
        told = (
            f'Images at a time: {args.batch}, from a picture in memory (no file is read) to run-length encoded masks: '
            "the config's test pipeline (pre-processing), network, NMS, masks in pixels of the picture (pasting) and "
            'their encoding, as an evaluation needs it; drawing, where it stands, is on top. GMACs: multiply-adds of '
            'convolutions and matrix products. '
        )
        if args.checkpoints is None or 'none' in args.checkpoints:
            told += (
                'Weights are random, where no checkpoint is given, with the score threshold that leaves the best boxes '
                'of a model, as many as it may return; those of CenterMask are made about 8 strides wide. '
            )
    told += (
        'Times are medians, with the least and the largest total in brackets; the models take turns in one process. '
        'MiB: the largest memory beyond the weights. '
    )
    if not args.train:
        told += 'In each turn a model runs twice, and the second run counts. '
    if args.device == 'cpu' and args.keep_memory:
        told += 'Memory is kept from run to run for every model. '
    elif not args.train and args.device == 'cpu':
        told += 'Memory is kept from run to run for prepared models; for the others it is as the system has it. '
    threads = '' if args.device != 'cpu' else f', {torch.get_num_threads()} threads'
    size = f'{picture.shape[0]} x {picture.shape[1]} pixels (height x width)'
    return (
        f'{told}\n\n`python {" ".join(sys.argv)}`\n\n{analysis.hardware(args.device)}{threads}; picture of {size}; '
        f'{args.repeats} runs; {analysis.versions()}.'
    )


def rows_to_test(args: argparse.Namespace, cfgs: dict[str, Config], picture: np.ndarray) -> list[analysis.Measured]:
    """Time inference."""
    names, runs, costs = [], [], []
    checkpoints = args.checkpoints or ['none'] * len(cfgs)
    for (name, cfg), checkpoint in zip(cfgs.items(), checkpoints):
        prepare = analysis.test_pipeline(cfg, picture, args.batch)
        model = build(cfg, None if checkpoint == 'none' else checkpoint, prepare(), args.device)
        run = analysis.TestedModel(model, prepare)
        cost = analysis.count_parameters(model), analysis.count_multiply_adds(run)
        draw = draw_with(cfg, picture) if args.draw else None
        for variant, made in variants_of(model, args.variants).items():
            names.append(name if len(args.variants) == 1 and variant == 'plain' else f'{name}, {variant}')
            kept = args.keep_memory or variant != 'plain'
            runs.append(analysis.TestedModel(made, prepare, draw, kept))
            costs.append(cost)
    turns = [run.turn for run in runs]
    results = analysis.measure(turns, args.repeats)
    memory = [analysis.peak_memory(turn, args.device) for turn in turns]
    return [
        analysis.Measured(name, result, peak, parameters, multiply_adds, run.boxes)
        for name, run, result, peak, (parameters, multiply_adds) in zip(names, runs, results, memory, costs)
    ]


def rows_to_train(args: argparse.Namespace, cfgs: dict[str, Config], picture: np.ndarray) -> list[analysis.Measured]:
    """Time training steps."""
    runs = []
    for cfg in cfgs.values():
        model = analysis.build_untrained(cfg).to(args.device)
        prepare = analysis.test_pipeline(cfg, picture)
        # of the mask head, which every model here has
        classes = model.roi_head.mask_head.num_classes
        data = analysis.make_training_batch(prepare, args.batch, args.objects, classes)
        runs.append(analysis.TrainedModel(model, data))
    keep_memory(args.keep_memory)
    results = analysis.measure(runs, args.repeats)
    memory = [analysis.peak_memory(run, args.device) for run in runs]
    return [
        analysis.Measured(name, result, peak, analysis.count_parameters(run.model), None, None)
        for name, result, peak, run in zip(cfgs, results, memory, runs)
    ]


def benchmark(args: argparse.Namespace) -> None:
    """Time, then write."""
    check_args(args)
    if args.batch is None:
        args.batch = 2 if args.train else 1
    register_all_modules()
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    cfgs: dict[str, Config] = {}
    for path in args.configs:
        name = Path(path.split('::')[-1]).stem
        if name in cfgs:
            raise apis.InputError(f'two configs are named {name}: give each once.')
        cfgs[name] = copy.deepcopy(read_config(path))
        if cfgs[name].model.type in ('CenterMask', 'CenterMaskV1'):
            cfgs[name].model.test_cfg.rcnn.mask_format = args.mask_format
    picture = read_picture(args)
    rows = (rows_to_train if args.train else rows_to_test)(args, cfgs, picture)
    analysis.write_measured(args.out, rows, describe(args, picture))
    print(f'{analysis.table_of(rows)}\n\nwrote table.md, results.csv and times.png to {args.out}')


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return apis.report_input_errors(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
