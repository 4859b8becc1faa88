"""One training run of an ablation: finished once, never repeated, resumed where it was stopped."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

from mmengine.config import Config

from mmcentermask.apis.output_files import write_files
from mmcentermask.errors import InputError
from mmcentermask.visualization import read_run_log

__all__ = ['set_iterations', 'train_once']

ROOT = Path(__file__).parents[2]


def set_iterations(cfg: Config, iterations: int) -> None:
    """Change the length of a run, and its schedule in proportion; evaluate once, at the end.

    Args:
        cfg (Config): Config with an IterBasedTrainLoop, changed in place.
        iterations (int): Iterations of the run.

    Raises:
        InputError: If the config counts in epochs.
    """
    if 'max_iters' not in cfg.train_cfg:
        raise InputError('the config counts in epochs, and an ablation in iterations: use an IterBasedTrainLoop.')
    factor = iterations / cfg.train_cfg.max_iters
    schedulers = cfg.get('param_scheduler') or []
    for scheduler in schedulers:
        for key in ('begin', 'end', 'T_max'):
            if scheduler.get(key) is not None:
                scheduler[key] = round(scheduler[key] * factor)
        if 'milestones' in scheduler:
            scheduler.milestones = [round(step * factor) for step in scheduler.milestones]
    # of few iterations nothing may be left for a warm-up
    cfg.param_scheduler = [s for s in schedulers if s.get('end') is None or s['end'] > s.get('begin', 0)]
    cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = iterations
    cfg.default_hooks.checkpoint.interval = max(1, iterations // 4)
    cfg.default_hooks.checkpoint.by_epoch = False
    logger = cfg.default_hooks.logger
    logger.interval = min(logger.get('interval', 10), iterations)  # at least one line, by which the log is read


def train_once(cfg: Config, folder: str | os.PathLike, seed: int, iterations: int | None, processes: int) -> dict:
    """Train and evaluate, unless the folder holds the result already.

    Args:
        cfg (Config): The whole config; not changed.
        folder (str): For this run alone. It gets ``config.py`` first, the run's work dir, and ``result.json`` last.
        seed (int): Of the run.
        iterations (int, optional): Length of the run; the config's by default.
        processes (int): Processes on this machine, with one thread each where there is more than one.

    Returns:
        dict: AP values, 0..1, by ``'segm AP'``, ``'bbox APs'`` and the like; -1 where nothing could be scored.

    Raises:
        InputError: If the folder holds a run with other settings, or the run fails.
    """
    cfg, folder = copy.deepcopy(cfg), Path(folder)
    set_iterations(cfg, iterations or cfg.train_cfg.max_iters)
    cfg.randomness = dict(seed=seed)
    cfg.work_dir = str(_work_dir(folder))
    settings, result = folder / 'config.py', folder / 'result.json'
    if settings.is_file() and settings.read_text() != cfg.pretty_text:
        raise InputError(f'{folder} holds a run with other settings: remove it, or choose another --work-dir.')
    write_files(folder, {settings.name: cfg.pretty_text.encode()}, option='--work-dir')
    if not result.is_file():
        _train(settings, folder, processes)
        last = read_run_log(_work_dir(folder)).val[-1:]
        if not last or last[0]['iteration'] < cfg.train_cfg.max_iters:
            raise InputError(f'the run in {folder} ended without an evaluation: look into its log.')
        scores = {' '.join(key): value for key, value in last[0].items() if isinstance(key, tuple)}
        write_files(folder, {result.name: json.dumps(scores, indent=1).encode()}, option='--work-dir')
    return json.loads(result.read_text())


def _work_dir(folder: Path) -> Path:
    """The Runner writes its own config.py into it."""
    return folder / 'run'


def _train(config: Path, folder: Path, processes: int) -> None:
    command = [str(ROOT / 'tools/train.py'), str(config), '--work-dir', str(_work_dir(folder)), '--resume']
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]))
    if processes > 1:
        start = ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={processes}']
        command = [*start, *command, '--launcher', 'pytorch']
        env['OMP_NUM_THREADS'] = '1'
    if subprocess.run([sys.executable, *command], env=env).returncode:
        raise InputError(f'the run in {folder} failed, as its output above says; run the command again to go on.')
