"""Times detectors side by side in one process, interleaved, stage by stage.

python tools/analysis_tools/benchmark.py mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py \
    configs/centermask/centermask_v39-ese_fpn_ms-3x_coco.py --variants plain fp32 bf16 --threads 2

Any detector of mmdet can be timed, a CenterMask by stages; the first one is what the others are compared with. Writes
table.md, results.csv and times.png. With --train it times training steps.
"""

import argparse
import copy
import os
import re
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmdet.registry import MODELS, VISUALIZERS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.hub import get_config
from torch import nn

from mmcentermask import analysis, apis
from mmcentermask.apis.checkpoint_check import check_same_model, read_checkpoint
from mmcentermask.apis.fast_inference import DTYPES, check_dtype, prepare_for_inference
from mmcentermask.models import CenterMask

# name -> what runs the file, and the end of its name
EXPORTED = {
    f'{backend}{precision}': (backend, suffix)
    for backend, suffix in (('onnxruntime', '.onnx'), ('openvino', '.xml'))
    for precision in ('', '-int8')
}


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
        choices=('plain', *DTYPES, *EXPORTED),
        default=['plain'],
        help='of each CenterMask: as it trains, prepared for inference in a dtype, or exported (default: plain)',
    )
    parser.add_argument('--image', help='an image in the place of the drawn one')
    parser.add_argument(
        '--size', type=int, nargs=2, default=[800, 1205], metavar=('HEIGHT', 'WIDTH'), help='of the drawn image'
    )
    parser.add_argument('--repeats', type=int, default=5, help='counted runs of each (default: %(default)s)')
    parser.add_argument('--threads', type=int, help="threads on CPU (default: torch's)")
    parser.add_argument('--device', default='cpu', help='cpu or cuda (default: %(default)s)')
    parser.add_argument('--mask-format', choices=['dense', 'rle'], default='rle', help='of CenterMask (default: rle)')
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
    if not re.fullmatch(r'cpu|cuda(:\d+)?', args.device):
        raise apis.InputError(f'--device is {args.device}: give cpu or cuda.')
    if args.device != 'cpu' and not torch.cuda.is_available():
        raise apis.InputError(f'--device is {args.device}, and there is no GPU here: leave it out.')
    for variant in set(args.variants) & set(DTYPES):
        check_dtype(DTYPES[variant], args.device)
    for variant in set(args.variants) & set(EXPORTED):
        if args.device != 'cpu' or args.mask_format != 'rle' or args.draw:
            raise apis.InputError(
                f'--variants {variant} is timed on a CPU, to RLE: leave --device, --mask-format, --draw.'
            )
        packages = ['onnx', EXPORTED[variant][0], *(['nncf'] if variant == 'openvino-int8' else [])]
        for package in packages:
            if find_spec(package) is None:
                raise apis.InputError(f'--variants {variant} needs the package {package}: pip install {package}.')


def read_config(path: str) -> Config:
    """Read a config file, or one of mmdet's own."""
    if '::' not in path:
        return apis.load_config(path)
    try:
        return get_config(path)
    except (FileNotFoundError, ImportError, RuntimeError, ValueError) as error:
        raise apis.InputError(f'there is no config {path}: {error}') from error


def read_image(args: argparse.Namespace) -> np.ndarray:
    """Read or draw the image, (H, W, 3), BGR."""
    if args.image is None:
        return analysis.draw_image(*args.size)
    image = mmcv.imread(args.image) if Path(args.image).is_file() else None
    if image is None:
        raise apis.ImageError(f'cannot read the image {args.image}: give an image file.')
    return image


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


def export(
    model: nn.Module, cfg: Config, variants: list[str], image: np.ndarray, args: argparse.Namespace
) -> dict[str, analysis.ExportedRun]:
    """Export a model; int8 is quantized by the one image, which serves for its speed and not for its results."""
    from mmcentermask.export.describe import describe_model
    from mmcentermask.export.export_model import open_graph, quantize
    from mmcentermask.export.onnx_graph import to_onnx

    model.dataset_meta = dict(classes=[f'class {i}' for i in range(model.bbox_head.num_classes)])
    metadata = describe_model(model, cfg)
    graph = to_onnx(model, metadata)
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for variant in variants:
            suffix = EXPORTED[variant][1]
            path = Path(folder, variant).with_suffix(suffix)
            exported = open_graph(graph, metadata, path, args.threads)
            if variant.endswith('int8'):
                pixels = exported.load(image).pixels.transpose(2, 0, 1)[None]
                exported = open_graph(quantize(graph, [pixels], suffix), metadata, path, args.threads)
            made[variant] = analysis.ExportedRun(exported, image, args.batch)
    return made


def draw_with(cfg: Config, image: np.ndarray):
    """Make a function that draws predictions onto the image."""
    visualizer = VISUALIZERS.build(dict(type='CenterMaskVisualizer', name=f'benchmark {id(cfg)}'))
    names = [f'class {i}' for i in range(2000)]
    visualizer.dataset_meta = dict(classes=names, palette=[(220, 20, 60)] * len(names))
    rgb = image[..., ::-1].copy()
    return lambda sample: visualizer.add_datasample('', rgb, sample, draw_gt=False, pred_score_thr=0.0)


def describe(args: argparse.Namespace, image: np.ndarray) -> str:
    """Say what the numbers include, and where they are from."""
    if args.train:
        text = (
            f'A training step on {args.batch} images with {args.objects} objects each, the same for every model, in '
            'memory: pre-processing on the device, losses, backward pass and SGD; no loading and no augmentation. '
        )
    else:
        text = (
            f'Batches of {args.batch}, from an image in memory (no file is read) to RLE masks: '
            "the config's test pipeline (pre-processing), network, NMS, masks in pixels of the image (pasting) and "
            'their encoding, as an evaluation needs it; drawing, where it stands, is on top. GMACs: multiply-adds of '
            'convolutions and matrix products. Each counted run follows an uncounted one of the same model. '
        )
        if args.checkpoints is None or 'none' in args.checkpoints:
            text += (
                'Weights are random, where no checkpoint is given, with the score threshold that leaves the best boxes '
                'of a model, as many as it may return; those of CenterMask are made about 8 strides wide. '
            )
    text += (
        'Interleaved timing in one process; medians, with the least and the largest total in brackets. '
        'MiB: peak memory beyond the weights.'
    )
    threads = '' if args.device != 'cpu' else f', {torch.get_num_threads()} threads'
    malloc = ''.join(f', {name}={value}' for name, value in sorted(os.environ.items()) if name.startswith('MALLOC_'))
    size = f'{image.shape[0]} x {image.shape[1]} pixels (height x width)'
    return (
        f'{text}\n\n`python {" ".join(sys.argv)}`\n\n{analysis.hardware(args.device)}{threads}{malloc}; '
        f'image of {size}; {args.repeats} runs; {analysis.versions()}.'
    )


def time_inference(
    args: argparse.Namespace, cfgs: dict[str, Config], image: np.ndarray
) -> list[analysis.BenchmarkResult]:
    """Time every variant of every model."""
    runs, costs = {}, []
    checkpoints = args.checkpoints or ['none'] * len(cfgs)
    for (name, cfg), checkpoint in zip(cfgs.items(), checkpoints):
        prepare = analysis.test_pipeline(cfg, image, args.batch)
        model = build(cfg, None if checkpoint == 'none' else checkpoint, prepare(), args.device)
        cost = analysis.count_parameters(model), analysis.count_macs(analysis.InferenceRun(model, prepare))
        draw = draw_with(cfg, image) if args.draw else None
        variants = args.variants if isinstance(model, CenterMask) else ['plain']
        wanted = [variant for variant in variants if variant in EXPORTED]
        exported = export(model, cfg, wanted, image, args) if wanted else {}
        for variant in variants:
            label = name if args.variants == ['plain'] else f'{name}, {variant}'
            if variant in exported:
                runs[label] = exported[variant]
            else:
                made = model if variant == 'plain' else prepare_for_inference(model, DTYPES[variant])
                runs[label] = analysis.InferenceRun(made, prepare, draw)
            costs.append(cost)
    times = analysis.time_interleaved(list(runs.values()), args.repeats, warmups=1)
    return [
        analysis.BenchmarkResult(label, seconds, analysis.peak_memory(run, args.device), *cost, run.boxes)
        for (label, run), seconds, cost in zip(runs.items(), times, costs)
    ]


def time_training(
    args: argparse.Namespace, cfgs: dict[str, Config], image: np.ndarray
) -> list[analysis.BenchmarkResult]:
    """Time training steps."""
    runs = {}
    for name, cfg in cfgs.items():
        model = analysis.build_untrained(cfg).to(args.device)
        classes = model.roi_head.mask_head.num_classes  # of the mask head, which every model here has
        data = analysis.make_training_batch(analysis.test_pipeline(cfg, image), args.batch, args.objects, classes)
        runs[name] = analysis.TrainingRun(model, data)
    times = analysis.time_interleaved(list(runs.values()), args.repeats)
    return [
        analysis.BenchmarkResult(
            name, seconds, analysis.peak_memory(run, args.device), analysis.count_parameters(run.model)
        )
        for (name, run), seconds in zip(runs.items(), times)
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
        if issubclass(MODELS.get(cfgs[name].model.type), CenterMask):
            cfgs[name].model.test_cfg.rcnn.mask_format = args.mask_format
    image = read_image(args)
    results = (time_training if args.train else time_inference)(args, cfgs, image)
    analysis.write_benchmark(args.out, results, describe(args, image))
    print(f'{analysis.benchmark_table(results)}\n\nwrote table.md, results.csv and times.png to {args.out}')


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return apis.report_input_errors(benchmark, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
