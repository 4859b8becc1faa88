"""Checks the data sets of a config before a run writes anything."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope

from .annotation_check import check_classes, check_num_classes, check_objects, read_annotations
from .errors import AnnotationError, MissingFileError
from .image_check import check_images

__all__ = ['check_data_for_testing', 'check_data_for_training', 'leaves']


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


def _check_split(cfg: Config, split: str) -> None:
    evaluators = cfg.get(f'{split}_evaluator') or []
    evaluators = [evaluators] if isinstance(evaluators, dict) else evaluators
    scored = [e for e in evaluators if isinstance(e, dict) and not e.get('format_only')]
    num_classes = _num_classes(cfg.model)
    for dataset_cfg in leaves(cfg[f'{split}_dataloader']['dataset']):
        _check_dataset(dataset_cfg, num_classes, split, annotated=split == 'train' or bool(scored))
    for evaluator in scored:
        path = evaluator.get('ann_file')
        if path and '://' not in path and evaluator['type'].split('.')[-1] == 'CocoMetric':
            # without iscrowd pycocotools fails, at the end of a whole evaluation
            read_annotations(path, also=('iscrowd',))


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


def _num_classes(model: dict[str, Any]) -> int | None:
    """Return the number of classes of a model config, None where it is not to be seen."""
    if model.get('num_classes') is not None:
        return model['num_classes']
    head = model.get('bbox_head') or {}
    return head.get('num_classes') if isinstance(head, dict) else None


def _check_dataset(dataset_cfg: dict[str, Any], num_classes: int | None, split: str, annotated: bool) -> None:
    place = f'{split}_dataloader.dataset'
    names = (dataset_cfg.get('metainfo') or {}).get('classes')
    if isinstance(names, str) and not Path(names).is_file():
        raise AnnotationError(
            f'the classes of {place} are the string {names!r} and not a list of names: '
            f'write metainfo=dict(classes=({names!r},)), with the comma.'
        )
    kind = DATASETS.get(dataset_cfg['type']) if isinstance(dataset_cfg['type'], str) else dataset_cfg['type']
    if not (isinstance(kind, type) and issubclass(kind, BaseDataset)):
        return  # nothing is known of it
    # only the paths and the class names are wanted yet
    dataset = DATASETS.build({**copy.deepcopy(dataset_cfg), 'lazy_init': True})
    classes = dataset.metainfo.get('classes')
    ann_file, root = str(dataset.ann_file or ''), str(dataset.data_root or '')
    folder = str(dataset.data_prefix.get('img') or dataset.data_prefix.get('img_path') or '')
    if any('://' in path for path in (root, ann_file, folder)) or getattr(dataset, 'backend_args', None):
        return  # on a server: left to the run itself
    for path in filter(None, (root, folder)):
        if not Path(path).is_dir():
            raise MissingFileError(
                f'there is no data folder {path} ({place}): give the folder of the data with '
                '--cfg-options data_root=FOLDER, or set MMDET_DATASETS.'
            )
    if ann_file and not Path(ann_file).is_file():
        read_annotations(ann_file)  # says what is missing
    if ann_file and type(dataset).load_data_list is CocoDataset.load_data_list:
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
    check_images([str(Path(folder, image['file_name'])) for image in images], ann_file)
