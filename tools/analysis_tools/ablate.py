"""Trains several configs with equal seeds and iterations, one after the other, and compares them.

python tools/analysis_tools/ablate.py configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_shapes.py \
    configs/ablations/shapes_no-sam.py configs/ablations/shapes_eq1.py

The first config is the one that the others are compared with. Run it again after a stop: it goes on where it was.
Writes table.md, results.csv and plot.png into the work dir.
"""

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from mmdet.registry import MODELS
from mmengine.config import Config

import mmcentermask
from mmcentermask import analysis, apis
from mmcentermask.analysis.tables import csv_table, markdown_table
from mmcentermask.apis.config_options import set_max_iters
from mmcentermask.atomic_write import atomic_write
from mmcentermask.visualization import png_of, read_run_log

TRAIN = Path(__file__).resolve().parents[1] / 'train.py'
METRICS = ('AP', 'APs', 'APm', 'APl')


class AblationResult(NamedTuple):
    """One config of an ablation."""

    name: str  # of the config
    scores: list[dict]  # one a seed: AP values, 0..1, by 'segm AP' and the like; -1 where nothing could be scored
    parameters: int
    macs: int  # multiply-adds of the network on one image
    seconds: float  # of the network on one image

    def values(self, metric: str) -> list[float]:
        """Mask AP of each seed, in points (0..100), where it could be scored."""
        values = [score.get(f'segm {metric}', -1) for score in self.scores]
        return [100 * value for value in values if value >= 0]


def set_iterations(cfg: Config, iterations: int) -> None:
    """Change the length of a run, in place, and its schedule in proportion; evaluate once, at the end.

    Raises:
        InputError: If the config counts in epochs.
    """
    if 'max_iters' not in cfg.train_cfg:
        raise apis.InputError('the config counts in epochs, and an ablation in iterations: use an IterBasedTrainLoop.')
    set_max_iters(cfg, iterations)
    cfg.train_cfg.val_interval = iterations
    cfg.default_hooks.checkpoint.interval = max(1, iterations // 4)
    cfg.default_hooks.checkpoint.by_epoch = False
    logger = cfg.default_hooks.logger
    logger.interval = min(logger.get('interval', 10), iterations)  # at least one line, by which the log is read


def train_once(cfg: Config, folder: Path, seed: int, iterations: int | None, processes: int) -> dict:
    """Train and evaluate, unless the folder holds the result already; resume what was stopped.

    Args:
        cfg (Config): The whole config; not changed.
        folder (Path): For this run alone. It gets ``config.py`` first, the run's work dir, and ``result.json`` last.
        seed (int): Of the run.
        iterations (int, optional): Length of the run; the config's by default.
        processes (int): On this machine, with one thread each where there is more than one.

    Returns:
        dict: AP values, 0..1, by ``'segm AP'``, ``'bbox APs'`` and the like; -1 where nothing could be scored.

    Raises:
        InputError: If the folder holds a run with other settings, or the run fails.
    """
    cfg = copy.deepcopy(cfg)
    # the Runner writes a config.py of its own
    run_dir, settings, result = folder / 'run', folder / 'config.py', folder / 'result.json'
    set_iterations(cfg, iterations or cfg.train_cfg.max_iters)
    cfg.randomness = dict(seed=seed)
    cfg.work_dir = str(run_dir)
    text = cfg.pretty_text  # formatted anew at each look
    if settings.is_file() and settings.read_text() != text:
        raise apis.InputError(f'{folder} holds a run with other settings: remove it, or choose another --work-dir.')
    with atomic_write(settings, hint='name another folder with --work-dir') as file:
        file.write(text.encode())
    if not result.is_file():
        _train(settings, run_dir, processes)
        last = read_run_log(run_dir).val[-1:]
        if not last or last[0]['iteration'] < cfg.train_cfg.max_iters:
            raise apis.InputError(f'the run in {folder} ended without an evaluation: look into its log.')
        scores = {' '.join(key): value for key, value in last[0].items() if isinstance(key, tuple)}
        with atomic_write(result) as file:
            file.write(json.dumps(scores, indent=1).encode())
    return json.loads(result.read_text())


def _train(config: Path, run_dir: Path, processes: int) -> None:
    if not TRAIN.is_file():
        raise apis.MissingFileError(f'there is no {TRAIN}: run ablate.py from the tools/ folder that it came in.')
    command = [str(TRAIN), str(config), '--work-dir', str(run_dir), '--resume']
    package = Path(mmcentermask.__file__).parents[1]  # the package of this process, installed or not
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(package), os.environ.get('PYTHONPATH', '')]))
    if processes > 1:
        command = [str(TRAIN.with_name('dist_run.py')), TRAIN.name, str(processes), *command[1:]]
        env['OMP_NUM_THREADS'] = '1'
    if subprocess.run([sys.executable, *command], env=env).returncode:
        raise apis.InputError(f'the run in {run_dir} failed, as its output above says; run the command again to go on.')


def _difference(result: AblationResult, first: AblationResult, metric: str) -> str:
    """The difference to the first config, 'none' where it is not above the spread of the seeds."""
    ours, theirs = result.values(metric), first.values(metric)
    if result is first or min(len(result.scores), len(first.scores)) < 2 or not ours or not theirs:
        return ''
    difference = statistics.mean(ours) - statistics.mean(theirs)
    spread = max(max(values) - min(values) for values in (ours, theirs))
    return 'none' if abs(difference) <= spread else f'{difference:+.1f}'


def compare(results: list[AblationResult]) -> str:
    """Return the table as Markdown.

    AP is the mean over seeds, with the least and the largest in brackets. A difference to the first row that is not
    above the larger spread (largest minus least) of the two is called none; one seed has no spread, and no difference.
    """
    head = ['config', *[f'mask {m}' for m in METRICS], 'AP against the first', 'APs against the first']
    rows = []
    for result in results:
        cells = [result.name]
        for metric in METRICS:
            values = result.values(metric)
            several = f' ({min(values):.1f} to {max(values):.1f})' if len(values) > 1 else ''
            cells.append(f'{statistics.mean(values):.1f}{several}' if values else '')
        cells += [_difference(result, results[0], metric) for metric in ('AP', 'APs')]
        rows.append([*cells, f'{result.parameters:,}', f'{result.macs / 1e9:.2f}', f'{1000 * result.seconds:.1f}'])
    return markdown_table([*head, 'parameters', 'GMACs', 'ms'], rows)


def write_comparison(folder: str | os.PathLike, results: list[AblationResult], text: str) -> None:
    """Write ``table.md``, with ``text`` below the table, ``results.csv`` and ``plot.png``.

    Raises:
        OutputError: If they cannot be written.
    """
    names = sorted({name for result in results for score in result.scores for name in score})
    rows = [
        [result.name, run, *[score.get(name) for name in names], *result[2:4], f'{result.seconds:.6f}']
        for result in results
        for run, score in enumerate(result.scores)
    ]
    files = {
        'table.md': f'{compare(results)}\n\n{text}\n\n![Mask AP, a dot a seed](plot.png)\n'.encode(),
        'results.csv': csv_table(['config', 'run', *names, 'parameters', 'multiply-adds', 'seconds'], rows),
        'plot.png': _plot(results),
    }
    apis.write_files(folder, files, '--work-dir')


def _plot(results: list[AblationResult]) -> bytes:
    """Draw mask AP and mask AP of small objects: a dot a seed, a line at the mean."""
    figure = Figure(figsize=(11, 1.2 + 0.4 * len(results)), layout='constrained')
    for axes, metric in zip(figure.subplots(1, 2, sharey=True), ('AP', 'APs')):
        for place, result in enumerate(results):
            values, color = result.values(metric), 'tab:gray' if place == 0 else 'tab:red'
            if values:
                mean = statistics.mean(values)
                axes.plot(values, [place] * len(values), 'o', color=color, alpha=0.8)
                axes.plot([mean, mean], [place - 0.3, place + 0.3], color=color, linewidth=2)
                if place == 0:
                    axes.axvline(mean, color=color, linewidth=0.8, linestyle='--')
        axes.set_title(f'mask {metric} in points, a dot a seed')
        axes.set_yticks(range(len(results)), [result.name for result in results])
        axes.grid(axis='x', alpha=0.3)
    axes.invert_yaxis()
    return png_of(figure, dpi=120)


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
            scores[name].append(train_once(cfg, folder, seed, args.iterations, args.processes))
    models = [MODELS.build(cfg.model).eval() for cfg in cfgs.values()]
    passes = [analysis.network_pass(model, (args.size, args.size), args.boxes) for model in models]
    times = analysis.time_interleaved(passes, repeats=11)
    results = [
        AblationResult(
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
    write_comparison(work_dir, results, text)
    print(f'{compare(results)}\n\nwrote table.md, results.csv and plot.png to {work_dir}')


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, or 1 after one sentence on what is wrong with its input."""
    return apis.report_input_errors(ablate, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
