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
from .class_rules import check_num_classes
from .coco import CocoReader, read_coco
from .loading import LoadInstanceAnnotations, LoadTrainingImage
from .panoptic import CityscapesPanopticDataset, PanopticDataset
from .values import listed

__all__ = ['coco_splits', 'leaves', 'num_classes_of']

# Pattern of the types' names -> package that they import late, and its name for pip
_PACKAGES = {
    'LVIS': ('lvis', 'lvis'),
    'City[Ss]capes.*Metric': ('cityscapesscripts', 'cityscapesScripts'),
    'PanopticQualityMetric': ('hotcoco', 'hotcoco'),
}


def leaves(dataset_cfg: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Find the configs of datasets inside of wrappers such as RepeatDataset and ConcatDataset.

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
    """Find the number of classes in the config of a model; None where it is not to be seen."""
    if model.get('num_classes') is not None:
        return model['num_classes']
    head = model.get('bbox_head') or {}
    return head.get('num_classes') if isinstance(head, dict) else None


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


def _coco_metrics(evaluators: list[dict[str, Any]]) -> list[tuple[str | None, dict[str, bool]]]:
    """Return, of the evaluators that compare with a COCO file, the file, if they name one, and what CocoSplit notes."""
    metrics = []
    for evaluator in evaluators:
        kind = METRICS.get(evaluator['type']) if isinstance(evaluator['type'], str) else evaluator['type']
        ours = isinstance(kind, type) and issubclass(kind, CocoInstanceMetric)
        if ours or kind is CocoMetric:
            metric = evaluator.get('metric', 'bbox')
            uses = dict(scored=True, file_order=not ours, classwise=bool(evaluator.get('classwise')))
            uses['masks_scored'] = 'segm' in ([metric] if isinstance(metric, str) else metric)
            metrics.append((evaluator.get('ann_file'), uses))
    return metrics


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


def _checked_split(model: dict[str, Any], dataset: BaseDataset, name: str, place: str) -> CocoSplit | None:
    """Check that a dataset has a file and the classes of the model; return None if the file is not one of COCO's."""
    ann_file, num_classes = str(dataset.ann_file or ''), num_classes_of(model)
    if ann_file and not os.path.isfile(ann_file):
        read_coco(ann_file)  # says what is missing
    if 'num_stuff_classes' in model:
        _check_things_and_stuff(model, dataset, place)
    if isinstance(dataset, CityscapesPanopticDataset):
        return None
    if ann_file and type(dataset).load_data_list in (CocoDataset.load_data_list, PanopticDataset.load_data_list):
        split = _split_of(dataset, name, place)
        split.num_classes = None if split.segments else num_classes
        return split
    classes = dataset.metainfo.get('classes')
    sentence = classes is not None and check_num_classes(num_classes, classes, ann_file or place)
    if sentence:
        raise AnnotationError(f'{sentence}.')
    return None


def coco_splits(cfg: Config, names: Iterable[str]) -> list[CocoSplit]:
    """List the COCO datasets of a config in local files, those of the same files once.

    Args:
        cfg (Config): The whole config.
        names (Iterable[str]): Of ``'train'``, ``'val'`` and ``'test'``; each must have a dataloader.

    An evaluator with a file of its own counts as one more.

    Raises:
        InputError: If a folder, a file or a package is missing, or the classes do not fit the model.

    >>> [split.ann_file for split in coco_splits(cfg, ['train'])]  # doctest: +SKIP
    ['data/coco/annotations/instances_train2017.json']
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    splits = {}
    for name in names:
        place = f'{name}_dataloader.dataset'
        if not cfg.get(f'{name}_dataloader'):
            raise InputError(f'the config has no {name}_dataloader: give one that has.')
        parts = list(leaves(cfg[f'{name}_dataloader']['dataset']))
        evaluators = cfg.get(f'{name}_evaluator') or []
        evaluators = [evaluators] if isinstance(evaluators, dict) else evaluators
        for part in (*parts, *evaluators):
            _check_package(part)
        scoring = [e for e in evaluators if isinstance(e, dict) and not e.get('format_only')]
        metrics, classes, predicted = _coco_metrics(scoring), None, set()
        for part in parts:
            dataset = _open(part, place)
            if dataset is None:
                continue
            classes = dataset.metainfo.get('classes')
            split = _checked_split(cfg.model, dataset, name, place)
            if split is None:
                continue
            predicted.add(_same(split.ann_file))
            if name != 'train':
                split.scored = bool(scoring)
                for path, uses in metrics:
                    if not path or _same(path) == _same(split.ann_file):
                        _join(split, uses)
            _add(splits, split)
        for path, uses in metrics:
            if path and '://' not in path and _same(path) not in predicted:
                place, about = f'{name}_evaluator', dict(trained=False, masks=uses['masks_scored'], images=False)
                num_classes = num_classes_of(cfg.model)
                _add(splits, CocoSplit(place, path, '', classes, num_classes, place=place, **about, **uses))
    return list(splits.values())


def _same(path: str) -> str:
    return os.path.realpath(path)


def _add(splits: dict, split: CocoSplit) -> None:
    """Add a split to those of other files, or to what else is done with its files."""
    key = (_same(split.ann_file), _same(split.folder), split.images, tuple(split.classes or ()))
    first = splits.setdefault(key, split)
    if first is not split:
        if split.name not in first.name.split(', '):
            first.name += f', {split.name}'
        _join(first, vars(split))


def _join(split: CocoSplit, uses: dict[str, Any]) -> None:
    """Note what else is done with the files of a split."""
    for use in ('trained', 'scored', 'masks', 'masks_scored', 'masks_present', 'file_order', 'classwise'):
        setattr(split, use, getattr(split, use) or uses.get(use, False))
