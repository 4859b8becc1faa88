#!/usr/bin/env python3
"""Goes through the data sets of a config and says what is wrong with their images, objects and masks.

python tools/check_dataset.py CONFIG --cfg-options data_root=data/coco --out work_dirs/check

The exit code is 0 where nothing but warnings was found, 1 after errors and 2 where nothing could be checked.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.progress import Progress

from mmcentermask import apis
from mmcentermask.inspection import Inspection, draw_worst, inspect_dataset, summarize, tables_of

SPLITS = ('train', 'val', 'test')


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Say what is wrong with the data sets of a config.')
    parser.add_argument('config', help='config file')
    parser.add_argument('--splits', nargs='+', choices=SPLITS, help='data sets to check (default: all there are)')
    parser.add_argument(
        '--out',
        metavar='DIR',
        help='folder for findings.json, findings.csv and worst.png, a picture of the worst images',
    )
    parser.add_argument('--quick', action='store_true', help='look only at the first and last bytes of the images')
    parser.add_argument(
        '--workers', type=int, default=os.cpu_count() or 1, help='images to decode at a time (default: %(default)s)'
    )
    parser.add_argument('--examples', type=int, default=3, help='findings of a kind to name (default: %(default)s)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        metavar='KEY=VALUE',
        help='parts of the config to override, as in training',
    )
    return parser.parse_args(argv)


def jobs(cfg: Config, splits: list[str] | None) -> list[dict]:
    """Return the arguments of ``inspect_dataset`` for each data set, those of the same files once.

    Raises:
        InputError: If there is no such data set.
    """
    found = {}
    for split in splits or SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            if splits:
                raise apis.InputError(f'the config has no {split}_dataloader: leave {split} out of --splits.')
            continue
        annotated = split == 'train' or apis.is_scored(cfg, split)
        for dataset_cfg in apis.leaves(loader['dataset']):
            opened = apis.open_dataset(dataset_cfg, f'{split}_dataloader.dataset')
            if opened is None or not opened.is_coco:
                print(f'{split}: left out, since it is no COCO data set in local files.', flush=True)
                continue
            same = (opened.ann_file, opened.folder, tuple(opened.classes or ()))
            if same in found:
                if split not in found[same]['name'].split(', '):
                    found[same]['name'] += f', {split}'
                found[same]['annotated'] |= annotated
                found[same]['scored'] |= split != 'train' and annotated
                continue
            found[same] = dict(
                name=split,
                ann_file=opened.ann_file,
                folder=opened.folder,
                classes=opened.classes,
                num_classes=apis.num_classes_of(cfg.model),
                pipeline=dataset_cfg.get('pipeline', ()),
                annotated=annotated,
                scored=split != 'train' and annotated,
            )
    if not found:
        raise apis.InputError('there is nothing to check: give a config with a COCO data set in local files.')
    return list(found.values())


def inspect(args: argparse.Namespace, cfg: Config) -> list[Inspection]:
    """Check the data sets, with a bar on a terminal."""
    inspections = []
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        for job in jobs(cfg, args.splits):
            task = bar.add_task(job['name'], total=None)
            progress: Callable = lambda done, total, task=task: bar.update(task, completed=done, total=total)  # noqa: E731
            job |= dict(decode=not args.quick, workers=args.workers, progress=progress)
            inspections.append(inspect_dataset(**job))
    return inspections


def check(args: argparse.Namespace) -> int:
    """Check as the command line says; return the exit code."""
    apis.check_least(args, workers=1, examples=1)
    cfg = apis.load_config(args.config, args.cfg_options)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    inspections = inspect(args, cfg)
    print('\n\n'.join(summarize(inspection, args.examples) for inspection in inspections))
    if args.out:
        files, sheet = tables_of(inspections), draw_worst(inspections)
        if sheet:
            files['worst.png'] = sheet
        apis.write_files(Path(args.out), files)
        print(f'\nwrote {", ".join(files)} to {args.out}')
    return int(any(inspection.findings.counts['errors'] for inspection in inspections))


def main(argv: list[str] | None = None) -> int:
    """Run the command; return 0, 1 after errors, 2 after one sentence on what is wrong with its input."""
    try:
        return check(parse_args(argv))
    except apis.InputError as error:
        print(f'error: {error}', file=sys.stderr, flush=True)
        return 2


if __name__ == '__main__':
    sys.exit(main())
