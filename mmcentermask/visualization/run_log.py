"""Reads the log that mmengine's Runner writes into its work_dir."""

import json
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from mmcentermask.errors import InputError, MissingFileError

_TIME = re.compile(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - ', re.MULTILINE)
_METRIC = re.compile(r'(?:.*/)?(bbox|segm)_mAP(?:_(50|75|s|m|l))?$')


class RunLog(NamedTuple):
    """What a run logged.

    Attributes:
        train: One dict a training line (``loss``, ``loss_cls``, ``time``, ...), by ``iteration``.
        val: One dict an evaluation, by ``iteration``: the AP values (0..1, or -1 where nothing could be scored) under
            the keys ``('bbox' or 'segm', 'AP', 'AP50', 'AP75', 'APs', 'APm' or 'APl')``.
        seconds: From the start to the last line of the log, evaluation included, of resumed runs together; 0 where the
            times are not known.
    """

    train: list[dict]
    val: list[dict]
    seconds: float


def _scores(line: dict) -> dict:
    """The AP values of an evaluation line, by (what, which)."""
    matches = ((_METRIC.match(key), value) for key, value in line.items())
    return {(match[1], 'AP' + (match[2] or '')): value for match, value in matches if match}


def _wall_time(folder: Path) -> float:
    """Seconds from the time that names a run's folder to the last line of its log; 0 where they are not known."""
    logs = [file.read_text(encoding='utf-8', errors='replace') for file in folder.glob('*.log')]
    times = [datetime.strptime(time, '%Y/%m/%d %H:%M:%S') for time in _TIME.findall('\n'.join(logs))]
    try:
        start = datetime.strptime(folder.name, '%Y%m%d_%H%M%S')
    except ValueError:
        return 0.0
    return (max(times, default=start) - start).total_seconds()


def _read_one(file: Path) -> RunLog:
    log, iteration = RunLog([], [], _wall_time(file.parents[1])), 0
    for text in file.read_text().splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # a last line that was cut off
            continue
        if not isinstance(line, dict) or 'step' not in line:
            continue
        if 'loss' in line:
            iteration = line['step']
            log.train.append({**line, 'iteration': iteration})
        else:
            # mmengine writes the epoch here unless LoggerHook has log_metric_by_epoch=False, and an epoch is never more
            # than the iteration. Then the place in the file tells the iteration.
            log.val.append({**_scores(line), 'iteration': max(iteration, line['step'])})
    return log


def trained_runs(work_dir: str | os.PathLike) -> Iterator[tuple[Path, RunLog, int]]:
    """Yield of each run that has trained its folder, its log, and the iteration from which on it replaces others."""
    for file in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        log = _read_one(file)
        if log.train:
            # lines of training come at a fixed interval, so a run from the start begins no later than the one before
            yield file.parents[1], log, log.train[0]['iteration']


def read_run_log(work_dir: str | os.PathLike) -> RunLog:
    """Reads all runs of a work_dir as one.

    A resumed run goes on where it was resumed; a run begun anew takes the place of the one before.

    Args:
        work_dir: ``work_dir`` of an mmengine Runner with the default ``LocalVisBackend``.

    Returns:
        The log, with at least one line of training.

    Raises:
        MissingFileError: If there is no log below ``work_dir``.
        InputError: If the log has no line of training yet.
    """
    if not any(Path(work_dir).glob('*/vis_data/scalars.json')):
        raise MissingFileError(
            f'{work_dir} holds no log (*/vis_data/scalars.json): give the work_dir of a training run.'
        )
    log = RunLog([], [], 0.0)
    for _, part, begin in trained_runs(work_dir):
        train, val = ([line for line in lines if line['iteration'] < begin] for lines in log[:2])
        log = RunLog(train + part.train, val + part.val, part.seconds + (log.seconds if train else 0.0))
    if not log.train:
        raise InputError(f'the log in {work_dir} has no line of training yet: wait for the first, or train longer.')
    return log
