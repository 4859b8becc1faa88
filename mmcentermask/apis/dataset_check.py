"""Checks the data sets of a config before a run writes anything."""

import copy
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope

from mmcentermask.datasets import LoadTrainingImage

from ..errors import AnnotationError, InputError, MissingFileError
from .annotation_check import check_classes, check_num_classes, check_objects, read_annotations
from .image_check import check_images

__all__ = [
    'LocalDataset',
    'check_data_for_testing',
    'check_data_for_training',
    'is_scored',
    'leaves',
    'num_classes_of',
    'open_dataset',
]

# Pattern of the types' names -> package that they import late, and its name for pip
_PACKAGES = {'LVIS': ('lvis', 'lvis'), 'City[Ss]capes.*Metric': ('cityscapesscripts', 'cityscapesScripts')}


def check_data_for_training(cfg: Config) -> None:
    """Check the data sets to train on and to validate on.

    Args:
        cfg (Config): The whole config.

    Raises:
        InputError: If files are missing or broken, or the classes fit neither the files nor the model.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    _check_split(cfg, 'train')
    if cfg.get('val_cfg') is not None:
        _check_split(cfg, 'val')


def check_data_for_testing(cfg: Config) -> None:
    """Check the data sets to test on.

    Args:
        cfg (Config): The whole config.

    Raises:
        InputError: If files are missing or broken, or the classes fit neither the files nor the model.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    _check_split(cfg, 'test')


def _evaluators(cfg: Config, split: str) -> list:
    evaluators = cfg.get(f'{split}_evaluator') or []
    return [evaluators] if isinstance(evaluators, dict) else evaluators


def _scored(cfg: Config, split: str) -> list[dict[str, Any]]:
    """Return the evaluators that compare predictions with annotations."""
    return [e for e in _evaluators(cfg, split) if isinstance(e, dict) and not e.get('format_only')]


def is_scored(cfg: Config, split: str) -> bool:
    """Whether predictions on a split are compared with its annotations.

    Args:
        cfg (Config): The whole config.
        split (str): ``'train'``, ``'val'`` or ``'test'``.

    Returns:
        bool: False where they are only written, and where there is no evaluator.
    """
    return bool(_scored(cfg, split))


def _check_split(cfg: Config, split: str) -> None:
    num_classes = num_classes_of(cfg.model)
    datasets = list(leaves(cfg[f'{split}_dataloader']['dataset']))
    for part in (*datasets, *_evaluators(cfg, split)):
        _check_package(part)
    for dataset_cfg in datasets:
        _check_dataset(dataset_cfg, num_classes, split, annotated=split == 'train' or is_scored(cfg, split))
    for evaluator in _scored(cfg, split):
        path = evaluator.get('ann_file')
        if path and '://' not in path and evaluator['type'].split('.')[-1] == 'CocoMetric':
            # without iscrowd pycocotools fails, at the end of a whole evaluation
            read_annotations(path, also=('iscrowd',))


def _check_package(part: Any) -> None:
    """Check that a data set's or an evaluator's own package is there."""
    kind = part['type'] if isinstance(part, dict) else type(part)
    kind = kind.__name__ if isinstance(kind, type) else kind.split('.')[-1]
    for name, (module, package) in _PACKAGES.items():
        if re.search(name, kind) and find_spec(module) is None:
            raise InputError(f'{kind} needs the package {package}, which is not installed: pip install {package}.')


def leaves(dataset_cfg: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Find the data sets inside of wrappers such as RepeatDataset and ConcatDataset.

    Args:
        dataset_cfg (dict): The config of a data set or of a wrapper.

    Yields:
        dict: The config of a data set that is no wrapper.
    """
    if 'dataset' in dataset_cfg:
        yield from leaves(dataset_cfg['dataset'])
    elif 'datasets' in dataset_cfg:
        for inner in dataset_cfg['datasets']:
            yield from leaves(inner)
    else:
        yield dataset_cfg


def num_classes_of(model: dict[str, Any]) -> int | None:
    """Find the number of classes of a model.

    Args:
        model (dict): The model's config.

    Returns:
        int or None: None where it is not to be seen.
    """
    if model.get('num_classes') is not None:
        return model['num_classes']
    head = model.get('bbox_head') or {}
    return head.get('num_classes') if isinstance(head, dict) else None


class LocalDataset(NamedTuple):
    """A data set that was built but has read nothing yet, and where its files are."""

    dataset: BaseDataset
    ann_file: str  # '' where there is none
    folder: str  # of the images, '' where there is none
    classes: Sequence[str] | None

    @property
    def is_coco(self) -> bool:
        """Whether its annotations are read as COCO's JSON."""
        return bool(self.ann_file) and type(self.dataset).load_data_list is CocoDataset.load_data_list


def open_dataset(dataset_cfg: dict[str, Any], place: str) -> LocalDataset | None:
    """Build a data set without reading it, and check that its folders are there.

    Args:
        dataset_cfg (dict): The config of a data set that is no wrapper.
        place (str): Where it stands in the config, for the message.

    Returns:
        LocalDataset or None: None where nothing is known of it, since it is on a server or no BaseDataset.

    Raises:
        AnnotationError: If the classes are one string.
        MissingFileError: If a folder is not there.
    """
    names = (dataset_cfg.get('metainfo') or {}).get('classes')
    if isinstance(names, str) and not Path(names).is_file():
        if '/' in names:
            raise MissingFileError(
                f'there is no file of class names {names} ({place}): write one with a name a line, or give the folder '
                'of the data with --cfg-options data_root=FOLDER.'
            )
        raise AnnotationError(
            f'the classes of {place} are the string {names!r} and not a list of names: '
            f'write metainfo=dict(classes=({names!r},)), with the comma.'
        )
    kind = DATASETS.get(dataset_cfg['type']) if isinstance(dataset_cfg['type'], str) else dataset_cfg['type']
    if not (isinstance(kind, type) and issubclass(kind, BaseDataset)):
        return None
    # only the paths and the class names are wanted yet
    dataset = DATASETS.build({**copy.deepcopy(dataset_cfg), 'lazy_init': True})
    ann_file, root = str(dataset.ann_file or ''), str(dataset.data_root or '')
    folder = str(dataset.data_prefix.get('img') or dataset.data_prefix.get('img_path') or '')
    if any('://' in path for path in (root, ann_file, folder)) or getattr(dataset, 'backend_args', None):
        return None  # on a server: left to the run itself
    for path in filter(None, (root, folder)):
        if not Path(path).is_dir():
            raise MissingFileError(
                f'there is no data folder {path} ({place}): give the folder of the data with '
                '--cfg-options data_root=FOLDER.'
            )
    return LocalDataset(dataset, ann_file, folder, dataset.metainfo.get('classes'))


def _check_dataset(dataset_cfg: dict[str, Any], num_classes: int | None, split: str, annotated: bool) -> None:
    place = f'{split}_dataloader.dataset'
    opened = open_dataset(dataset_cfg, place)
    if opened is None:
        return
    dataset, ann_file, folder, classes = opened
    if ann_file and not Path(ann_file).is_file():
        read_annotations(ann_file)  # says what is missing
    if opened.is_coco:
        content = read_annotations(ann_file, annotated=annotated)
        check_classes(classes, content, ann_file)
        if split == 'train':
            check_objects(classes, content, ann_file)
        if dataset._indices is None:
            _check_images(dataset, content, folder, ann_file)
    if classes is not None:
        check_num_classes(num_classes, classes, ann_file or place)


def _check_images(dataset: CocoDataset, content: dict[str, Any], folder: str, ann_file: str) -> None:
    """Check the images that the data set will open."""
    images = content['images']
    if not dataset.test_mode and (dataset.filter_cfg or {}).get('filter_empty_gt'):
        used = {annotation['image_id'] for annotation in content['annotations']}
        images = [image for image in images if image['id'] in used]
    goes_on = not dataset.test_mode and any(
        isinstance(transform, LoadTrainingImage) for transform in dataset.pipeline.transforms
    )
    check_images([str(Path(folder, image['file_name'])) for image in images], ann_file, some_broken=goes_on)
