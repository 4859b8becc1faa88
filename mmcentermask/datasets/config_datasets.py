"""Finds the COCO datasets of a config, and what a run does with each."""

import copy
import os
import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmcv.transforms import LoadImageFromFile
from mmdet.datasets import CocoDataset, CocoPanopticDataset
from mmdet.evaluation import CocoMetric
from mmdet.registry import DATASETS, METRICS
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope

from mmcentermask.evaluation import CocoInstanceMetric

from ..config_errors import named_building_errors
from ..errors import AnnotationError, InputError, MissingFileError
from .annotation_tables import CocoSplit
from .coco import CocoReader, read_coco
from .load_annotations import LoadInstanceAnnotations
from .load_image import LoadTrainingImage
from .panoptic import CityscapesPanopticDataset, PanopticDataset
from .rules import check_num_classes
from .values import listed

__all__ = ['coco_splits', 'is_scored', 'leaves', 'num_classes_of']

# Pattern of the types' names -> package that they import late, and its name for pip
_PACKAGES = {
    'LVIS': ('lvis', 'lvis'),
    'City[Ss]capes.*Metric': ('cityscapesscripts', 'cityscapesScripts'),
    'PanopticQualityMetric': ('hotcoco', 'hotcoco'),
}


def leaves(dataset_cfg: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Find the datasets inside of wrappers such as RepeatDataset and ConcatDataset.

    Args:
        dataset_cfg (dict): The config of a dataset or of a wrapper.

    Yields:
        dict: The config of a dataset that is no wrapper.

    >>> [leaf['type'] for leaf in leaves(dict(type='RepeatDataset', dataset=dict(type='CocoDataset')))]
    ['CocoDataset']
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


def _check_package(part: Any) -> None:
    """Check that a dataset's or an evaluator's own package is there."""
    kind = part['type'] if isinstance(part, dict) else type(part)
    kind = kind.__name__ if isinstance(kind, type) else kind.split('.')[-1]
    for name, (module, package) in _PACKAGES.items():
        if re.search(name, kind) and find_spec(module) is None:
            raise InputError(f'{kind} needs the package {package}, which is not installed: pip install {package}.')


def _open(dataset_cfg: dict[str, Any], place: str) -> BaseDataset | None:
    """Build a dataset without reading its annotations, and check that its folders are there.

    Returns None where nothing is known of it, since it is on a server or no BaseDataset.
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
    with named_building_errors(dataset_cfg):
        dataset = DATASETS.build({**copy.deepcopy(dataset_cfg), 'lazy_init': True})
    paths = [str(path or '') for path in (dataset.data_root, dataset.ann_file, _folder(dataset))]
    if any('://' in path for path in paths) or getattr(dataset, 'backend_args', None):
        return None  # on a server: left to the run itself
    for path in filter(None, (paths[0], paths[2])):
        if not Path(path).is_dir():
            raise MissingFileError(
                f'there is no data folder {path} ({place}): give the folder of the data with '
                '--cfg-options data_root=FOLDER.'
            )
    return dataset


def _folder(dataset: BaseDataset) -> str:
    return str(dataset.data_prefix.get('img') or dataset.data_prefix.get('img_path') or '')


def _coco_metrics(cfg: Config, split: str) -> list[tuple[type, dict[str, Any]]]:
    """Return the class and the config of each evaluator that compares with a COCO file."""
    metrics = []
    for evaluator in _scored(cfg, split):
        kind = METRICS.get(evaluator['type']) if isinstance(evaluator['type'], str) else evaluator['type']
        if kind is CocoMetric or (isinstance(kind, type) and issubclass(kind, CocoInstanceMetric)):
            metrics.append((kind, evaluator))
    return metrics


def _metric_options(kind: type, evaluator: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of CocoSplit that follow from a metric."""
    metric = evaluator.get('metric', 'bbox')
    return dict(
        scored=True,
        masks_scored='segm' in ([metric] if isinstance(metric, str) else metric),
        file_order=not issubclass(kind, CocoInstanceMetric),
        classwise=bool(evaluator.get('classwise')),
    )


def _split_of(dataset: CocoDataset, split: str, place: str) -> CocoSplit:
    """Say what the pipeline and the filters of a dataset do."""
    transforms = dataset.pipeline.transforms
    image = next((t for t in transforms if isinstance(t, LoadImageFromFile)), LoadImageFromFile())
    masks = [t for t in transforms if getattr(t, 'with_mask', False)]
    filters = {} if dataset.test_mode else dataset.filter_cfg or {}
    return CocoSplit(
        split,
        str(dataset.ann_file),
        _folder(dataset),
        dataset.metainfo.get('classes'),
        trained=split == 'train',
        masks=bool(masks) and not isinstance(dataset, PanopticDataset),
        masks_present=any(not isinstance(t, LoadInstanceAnnotations) for t in masks),
        file_order=not issubclass(dataset.COCOAPI, CocoReader),
        segments=str(dataset.data_prefix.get('seg') or '') if isinstance(dataset, PanopticDataset) else '',
        things=dataset.metainfo.get('thing_classes', ()),
        min_size=filters.get('min_size', 0),
        skip_empty=filters.get('filter_empty_gt', False),
        images=dataset._indices is None,
        color_type=image.color_type,
        backend=image.imdecode_backend,
        tolerant=isinstance(image, LoadTrainingImage) and not dataset.test_mode,
        place=place,
    )


def _check_things_and_stuff(model: dict[str, Any], dataset: BaseDataset, place: str) -> None:
    """Check that a dataset is panoptic, as the model is, and has its numbers of classes."""
    things, stuff = (dataset.metainfo.get(f'{kind}_classes', ()) for kind in ('thing', 'stuff'))
    if not isinstance(dataset, CocoPanopticDataset):
        raise AnnotationError(
            f'{place} is a {type(dataset).__name__}, whose annotations are of instances, but the model is a '
            "PanopticCenterMask: take type='PanopticDataset' with a panoptic annotation file, or a CenterMask."
        )
    if (model['num_classes'], model['num_stuff_classes']) != (len(things), len(stuff)):
        raise AnnotationError(
            f'the model has {model["num_classes"]} thing and {model["num_stuff_classes"]} stuff classes, but {place} '
            f'has the things {listed(things)} and the stuff {listed(stuff)}: set '
            f'model.num_classes={len(things)} and model.num_stuff_classes={len(stuff)}, or thing_classes and '
            'stuff_classes in metainfo.'
        )


def coco_splits(cfg: Config, names: Iterable[str]) -> list[CocoSplit]:
    """List the COCO datasets of a config in local files, those of the same files once.

    Args:
        cfg (Config): The whole config.
        names (Iterable[str]): Of ``'train'``, ``'val'`` and ``'test'``; each must have a dataloader.

    Returns:
        list: Each with what the run does with it. An evaluator with a file of its own counts as one more.

    Raises:
        InputError: If a folder, a file or a package is missing, or the classes do not fit the model.

    >>> [split.ann_file for split in coco_splits(cfg, ['train'])]  # doctest: +SKIP
    ['data/coco/annotations/instances_train2017.json']
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    num_classes, splits = num_classes_of(cfg.model), {}
    for name in names:
        place = f'{name}_dataloader.dataset'
        if not cfg.get(f'{name}_dataloader'):
            raise InputError(f'the config has no {name}_dataloader: give one that has.')
        parts = list(leaves(cfg[f'{name}_dataloader']['dataset']))
        for part in (*parts, *_evaluators(cfg, name)):
            _check_package(part)
        metrics = {_same(e['ann_file']): (kind, e) for kind, e in _coco_metrics(cfg, name) if e.get('ann_file')}
        unnamed = [metric for metric in _coco_metrics(cfg, name) if not metric[1].get('ann_file')]
        classes = None
        for part in parts:
            dataset = _open(part, place)
            if dataset is None:
                continue
            ann_file, classes = str(dataset.ann_file or ''), dataset.metainfo.get('classes')
            if ann_file and not os.path.isfile(ann_file):
                read_coco(ann_file)  # says what is missing
            if 'num_stuff_classes' in cfg.model:
                _check_things_and_stuff(cfg.model, dataset, place)
            if isinstance(dataset, CityscapesPanopticDataset):
                continue
            known = (CocoDataset.load_data_list, PanopticDataset.load_data_list)
            if not ann_file or type(dataset).load_data_list not in known:
                sentence = classes is not None and check_num_classes(num_classes, classes, ann_file or place)
                if sentence:
                    raise AnnotationError(f'{sentence}.')
                continue
            split = _split_of(dataset, name, place)
            split.num_classes = None if split.segments else num_classes
            if name != 'train':
                split.scored = is_scored(cfg, name)
                for metric in (*unnamed, metrics.pop(_same(ann_file), None)):
                    if metric is not None:
                        _join(split, CocoSplit(name, ann_file, trained=False, **_metric_options(*metric)))
            _add(splits, split)
        for kind, evaluator in metrics.values():
            if '://' not in evaluator['ann_file']:
                options = _metric_options(kind, evaluator)
                place = f'{name}_evaluator'
                split = CocoSplit(place, evaluator['ann_file'], '', classes, num_classes, trained=False, **options)
                split.images, split.masks, split.place = False, split.masks_scored, place
                _add(splits, split)
    return list(splits.values())


def _same(path: str) -> str:
    return os.path.realpath(path)


def _add(splits: dict, split: CocoSplit) -> None:
    """Add a split to those of other files, or to what else is done with its files."""
    key = (_same(split.ann_file), _same(split.folder), split.images, tuple(split.classes or ()))
    if key in splits:
        _join(splits[key], split)
    else:
        splits[key] = split


def _join(split: CocoSplit, other: CocoSplit) -> None:
    """Let ``split`` stand for both."""
    if other.name not in split.name.split(', '):
        split.name += f', {other.name}'
    for use in ('trained', 'scored', 'masks', 'masks_scored', 'masks_present', 'file_order', 'classwise'):
        setattr(split, use, getattr(split, use) or getattr(other, use))
    split.tolerant = split.tolerant and not split.scored
