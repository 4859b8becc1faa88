#!/usr/bin/env python3
"""Applies every rule on COCO datasets to those of a config: images, entries, boxes and masks.

python tools/check_dataset.py CONFIG --cfg-options data_root=data/coco --out work_dirs/check

The exit code is 0 where nothing but warnings was found, 1 after errors and 2 where nothing could be checked.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what takes seconds to import waits until the command line is read
    from mmengine.config import Config

    from mmcentermask.datasets.inspection import Inspection

SPLITS = ('train', 'val', 'test')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Say what is wrong with the datasets of a config.')
    parser.add_argument('config', help='config file')
    parser.add_argument('--splits', nargs='+', choices=SPLITS, help='datasets to check (default: all there are)')
    parser.add_argument(
        '--out',
        metavar='DIR',
        help='folder for findings.json, findings.csv, worst.png, a sheet of the worst images, and of each dataset '
        'overview-NAME.png: its classes, sizes and some images',
    )
    parser.add_argument('--quick', action='store_true', help='look only at the first and last bytes of the images')
    parser.add_argument(
        '--workers', type=int, default=os.cpu_count() or 1, help='images to decode at a time (default: %(default)s)'
    )
    parser.add_argument('--examples', type=int, default=3, help='findings of a rule to name (default: %(default)s)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        help='parts of the config to override, as in training',
    )
    return parser.parse_args(argv)


def inspect(args: argparse.Namespace, cfg: Config) -> list[Inspection]:
    """Check the datasets, with a bar on a terminal; raise InputError if there is none."""
    from rich.console import Console
    from rich.progress import Progress

    from mmcentermask import apis
    from mmcentermask.datasets.config_datasets import coco_splits
    from mmcentermask.datasets.inspection import inspect_dataset

    names = args.splits or [name for name in SPLITS if cfg.get(f'{name}_dataloader')]
    splits = coco_splits(cfg, names)
    for name in names:
        if not any(name in split.name.split(', ') for split in splits):
            print(f'{name}: left out, since it is no COCO dataset in local files.', flush=True)
    if not splits:
        raise apis.InputError('there is nothing to check: give a config with a COCO dataset in local files.')
    inspections = []
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        for split in splits:
            task = bar.add_task(split.name, total=None)
            inspections.append(
                inspect_dataset(
                    split,
                    decode=not args.quick,
                    workers=args.workers,
                    progress=lambda done, total, task=task: bar.update(task, completed=done, total=total),
                )
            )
    return inspections


def check(args: argparse.Namespace) -> int:
    """Check as the command line says; return the exit code."""
    from mmcentermask import apis
    from mmcentermask.datasets.data_check import compare_splits
    from mmcentermask.datasets.report import summarize, tables_of
    from mmcentermask.visualization.dataset_overview import draw_overview
    from mmcentermask.visualization.worst_images import draw_worst

    apis.check_least(args, workers=1, examples=1)
    cfg = apis.load_config(args.config, args.cfg_options)
    inspections = inspect(args, cfg)
    print('\n\n'.join(summarize(inspection, args.examples) for inspection in inspections))
    for line in compare_splits(inspections):
        print(f'\nwarning: {line}')
    if args.out:
        files, sheet = tables_of(inspections), draw_worst(inspections)
        if sheet:
            files['worst.png'] = sheet
        files |= {f'overview-{i.split.name.replace(", ", "-")}.png': draw_overview(i) for i in inspections}
        apis.write_files(Path(args.out), files)
        print(f'\nwrote {", ".join(files)} to {args.out}')
    return int(any(inspection.count(errors=True) for inspection in inspections))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, 1 after errors, 2 after one sentence on what is wrong with its input."""
    args = parse_args(argv)
    from mmcentermask import apis

    try:
        return check(args)
    except apis.InputError as error:
        print(f'error: {error}', file=sys.stderr, flush=True)
        return 2


if __name__ == '__main__':
    sys.exit(main())
