"""Trains several configs with equal seeds and iterations, one after the other, and compares them.

python tools/analysis_tools/ablate.py configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_shapes.py \
    configs/ablations/shapes_no-sam.py configs/ablations/shapes_eq1.py

The first config is the one that the others are compared with. Run it again after a stop: it goes on where it was.
Writes table.md, results.csv and plot.png into the work dir.
"""

import argparse
import statistics
import sys
from pathlib import Path

import torch
from mmdet.registry import MODELS

from mmcentermask import analysis, apis

TRAIN = Path(__file__).resolve().parents[1] / 'train.py'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Train several configs alike and compare them.')
    parser.add_argument('configs', nargs='+', help='config files; the first is compared with')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1], help='one run each (default: 0 1)')
    parser.add_argument('--iterations', type=int, help="iterations of every run (default: the config's)")
    parser.add_argument('--processes', type=int, default=1, help='processes of a run (default: %(default)s)')
    parser.add_argument('--work-dir', default='work_dirs/ablations', help='folder to write to (default: %(default)s)')
    parser.add_argument('--size', type=int, default=128, help='image side for cost, in pixels (default: %(default)s)')
    parser.add_argument('--boxes', type=int, default=10, help='boxes with a mask for cost (default: %(default)s)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        help='parts of every config to override, such as data_root=FOLDER',
    )
    return parser.parse_args(argv)


def ablate(args: argparse.Namespace) -> None:
    """Train what is not trained yet, then compare; what would stop a later run is found before the first."""
    names = [Path(config).stem for config in args.configs]
    for name in names:
        if names.count(name) > 1:
            raise apis.InputError(f'two configs are named {name}: give each once.')
    apis.check_least(args, iterations=1, processes=1, boxes=1, size=32)
    if args.size % 32:
        raise apis.InputError(f'--size is {args.size}: give a multiple of 32.')
    if len(set(args.seeds)) < len(args.seeds):
        raise apis.InputError(f'--seeds names a seed twice: {args.seeds}.')
    cfgs = {name: apis.load_config(config, args.cfg_options) for name, config in zip(names, args.configs)}
    for cfg in cfgs.values():
        apis.check_data_for_training(cfg)
        apis.check_model_for_training(cfg)
    work_dir, scores = Path(args.work_dir), {name: [] for name in names}
    for number, (name, cfg) in enumerate(cfgs.items(), 1):
        for seed in args.seeds:
            print(f'== {name}, seed {seed}: config {number} of {len(cfgs)}', flush=True)
            folder = work_dir / name / f'seed{seed}'
            scores[name].append(analysis.train_once(cfg, folder, seed, args.iterations, args.processes, TRAIN))
    models = [MODELS.build(cfg.model).eval() for cfg in cfgs.values()]
    passes = [analysis.network_pass(model, (args.size, args.size), args.boxes) for model in models]
    times = analysis.time_interleaved(passes, repeats=11)
    results = [
        analysis.AblationResult(
            name,
            scores[name],
            analysis.count_parameters(model),
            analysis.count_macs(run),
            statistics.median(one['network'] for one in seconds),
        )
        for name, model, run, seconds in zip(cfgs, models, passes, times)
    ]
    text = (
        f'`python {" ".join(sys.argv)}`\n\nGMACs and ms: the network alone, without NMS and pasting, on one image of '
        f'{args.size} x {args.size} pixels with {args.boxes} boxes, on CPU, {torch.get_num_threads()} threads.'
    )
    analysis.write_comparison(work_dir, results, text)
    print(f'{analysis.compare(results)}\n\nwrote table.md, results.csv and plot.png to {work_dir}')


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return apis.report_input_errors(ablate, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
