"""Checks the datasets of a config before a run writes anything."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mmengine.config import Config

from ..errors import AnnotationError, ImageError, InputError, MissingFileError
from .config_datasets import coco_splits
from .inspection import Inspection, inspect_dataset
from .report import sentence
from .values import is_id, is_name, printable

__all__ = ['check_data_for_testing', 'check_data_for_training', 'compare_splits', 'named_image_errors']

_KINDS = {
    'image-missing': MissingFileError,
    'image-damaged': ImageError,
    'image-depth': ImageError,
    'png-missing': MissingFileError,
}


def check_data_for_training(cfg: Config) -> None:
    """Apply the cheap rules to the datasets to train on and to validate on; warnings go to stderr.

    Args:
        cfg (Config): The whole config.

    Raises:
        InputError: If files are missing or broken, or the classes fit neither the files nor the model.

    >>> check_data_for_training(Config.fromfile('my_config.py'))  # doctest: +SKIP
    """
    _check(cfg, ['train', 'val'] if cfg.get('val_cfg') is not None else ['train'])


def check_data_for_testing(cfg: Config) -> None:
    """Apply the cheap rules to the datasets to test on; warnings go to stderr.

    Args:
        cfg (Config): The whole config.

    Raises:
        InputError: As :func:`check_data_for_training`.
    """
    _check(cfg, ['test'])


def _check(cfg: Config, names: list[str]) -> None:
    inspections, warnings = [], []
    for split in coco_splits(cfg, names):
        inspection = inspect_dataset(split, dear=False, decode=False, workers=16)
        errors = [name for name in inspection.found if inspection.is_error(name)]
        if errors:
            others = '1 more rule is' if len(errors) == 2 else f'{len(errors) - 1} more rules are'
            more = f' {others} broken: see tools/check_dataset.py.' if len(errors) > 1 else ''
            kind = _KINDS.get(errors[0], AnnotationError)
            raise kind(f'{sentence(inspection, errors[0])}{more}')
        inspections.append(inspection)
        warnings += [sentence(inspection, name) for name in inspection.found]
    for line in (*warnings, *compare_splits(inspections)):
        print(f'warning: {line}', file=sys.stderr, flush=True)


@contextmanager
def named_image_errors(cfg: Config, *names: str) -> Iterator[None]:
    """Name the image where a run fails at one, in a worker of a data loader too.

    Args:
        cfg (Config): The whole config.
        *names (str): The splits of the run: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        InputError: If an image cannot be decoded that must be, training found none that can be read, or a panoptic PNG
            cannot be used.

    >>> with named_image_errors(cfg, 'test'):  # doctest: +SKIP
    ...     runner.test()
    """
    try:
        yield
    except InputError as error:  # a worker's has its whole traceback for a text
        raise type(error)(str(error).split(f'{type(error).__name__}: ')[-1].strip()) from error
    except AssertionError:  # mmcv's loader has no error of its own: look for what it may have met
        for split in coco_splits(cfg, [name for name in names if cfg.get(f'{name}_dataloader')]):
            inspection = inspect_dataset(split, workers=16)
            if 'image-damaged' in inspection.found and inspection.is_error('image-damaged'):
                raise ImageError(sentence(inspection, 'image-damaged')) from None
        raise


def compare_splits(inspections: Sequence[Inspection]) -> list[str]:
    """Compare the datasets of a run with each other.

    Returns a warning for each scored dataset that has images which are trained on.

    Raises:
        AnnotationError: If an evaluator's file is not that of the images which are predicted.
    """
    trained = {path for inspection in inspections if inspection.split.trained for path in _image_paths(inspection)}
    lines = []
    for inspection in inspections:
        split, paths = inspection.split, _image_paths(inspection)
        if split.place.endswith('_evaluator'):
            loader = split.place.replace('_evaluator', '_dataloader.dataset')
            _check_evaluator(inspection, [other for other in inspections if other.split.place == loader])
        shared = [path for path in paths if split.scored and path in trained]
        if shared:
            lines.append(
                f'{len(shared)} of the {len(paths)} images of {split.ann_file} ({split.name}) are both trained on and '
                f'scored, first {printable(shared[0], 200)}, so the AP says little about other images: give '
                'val_dataloader and val_evaluator images of their own.'
            )
    return lines


def _image_paths(inspection: Inspection) -> list[str]:
    if not inspection.split.images:
        return []
    folder = os.path.realpath(inspection.split.folder)
    names = [entry.get('file_name') for entry in inspection.tables.images]
    return [os.path.normpath(os.path.join(folder, name)) for name in names if is_name(name)]


def _check_evaluator(inspection: Inspection, predicted: list[Inspection]) -> None:
    """Check that an evaluator's file has the images that are predicted, each under the same id."""
    mine = {e['id']: e.get('file_name') for e in inspection.tables.images if is_id(e.get('id'))}
    for other in predicted:
        lacking = [e for e in other.tables.images if is_id(e.get('id')) and mine.get(e['id']) != e.get('file_name')]
        if lacking:
            place, path = inspection.split.place, other.split.ann_file
            raise AnnotationError(
                f'{place}.ann_file is {inspection.split.ann_file}, which lacks {len(lacking)} of the images of {path} '
                f'or has them under other ids, first {lacking[0].get("file_name")}: set {place}.ann_file={path}.'
            )
