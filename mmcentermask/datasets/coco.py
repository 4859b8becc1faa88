"""Reads COCO annotation files: one reader for training, evaluation and checks."""

import json
import os
import re
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS

from ..errors import AnnotationError, MissingFileError
from .values import is_side

__all__ = ['CocoInstanceDataset', 'CocoReader', 'numbers_of_text', 'read_coco', 'read_json']

_NUMBER = re.compile(r'-?(0|[1-9]\d{0,15})(\.\d+)?([eE][-+]?\d{1,2})?', re.ASCII)  # as JSON writes it
_BYTE_ORDER_MARKS = {b'\xef\xbb\xbf': 'UTF-8 with a byte order mark', b'\xff\xfe': 'UTF-16', b'\xfe\xff': 'UTF-16'}


def read_json(path: str | Path) -> Any:
    """Read an annotation file in any of JSON's encodings: UTF-8, with or without a byte order mark, UTF-16, UTF-32.

    Raises:
        MissingFileError: If there is no such file.
        AnnotationError: If it cannot be read or is not JSON.
    """
    if not os.path.isfile(path):  # Path's own fails at names that are too long
        raise MissingFileError(
            f'there is no annotation file {path}: give the folder of the data with --cfg-options data_root=FOLDER, '
            'or set ann_file in the config.'
        )
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise AnnotationError(
            f'the annotation file {path} cannot be read ({error.strerror}): make it readable.'
        ) from error
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f'the annotation file {path} is no text in UTF-8 or UTF-16: unpack it, or save it as UTF-8.'
        ) from error
    except (ValueError, RecursionError) as error:  # of JSON, of endless brackets
        raise AnnotationError(
            f'the annotation file {path} is not JSON ({error}): give a complete COCO annotation file.'
        ) from error


def read_coco(path: str, annotated: bool = True, utf8_only: bool = False, panoptic: bool = False) -> dict[str, Any]:
    """Read a COCO annotation file, as ``read_json``, and check that its lists are there, whatever they hold.

    Args:
        path (str): A JSON file.
        annotated (bool): Whether ``annotations`` must be there. Defaults to True.
        utf8_only (bool): Refuse what ``pycocotools.coco.COCO`` itself cannot read. Defaults to False.
        panoptic (bool): Whether it is one of segments, and not of instances. Defaults to False.

    Raises:
        MissingFileError: If there is no such file.
        AnnotationError: If it cannot be read, is not JSON, lacks a list, or is of instances and not of segments or the
            other way round.
    """
    content = read_json(path)
    with open(path, 'rb') as file:
        begin = file.read(3)
    for mark, encoding in _BYTE_ORDER_MARKS.items():
        if utf8_only and begin.startswith(mark):
            raise AnnotationError(
                f'the annotation file {path} is {encoding}, which pycocotools cannot read: save it as plain UTF-8, or '
                "set type='CocoInstanceDataset' in the dataset and type='CocoInstanceMetric' in the evaluator."
            )
    for name in ('images', 'annotations', 'categories'):
        if name == 'annotations' and not annotated and isinstance(content, dict) and name not in content:
            continue
        if not isinstance(content.get(name) if isinstance(content, dict) else None, list):
            raise AnnotationError(
                f'the annotation file {path} has no list {name!r}: give a COCO annotation file, '
                'which has the lists images, annotations, categories.'
            )
    for entry in content.get('annotations', []):
        if isinstance(entry, dict) and isinstance(entry.get('segments_info'), list) != panoptic:
            raise AnnotationError(
                f'the annotation file {path} has annotations without segments_info, but the config is of panoptic '
                'segmentation: give a panoptic file (panoptic_*.json), or take a config of CenterMask.'
                if panoptic
                else f'the annotation file {path} is of panoptic segmentation: give one of instances '
                '(instances_*.json), or take a config of PanopticCenterMask.'
            )
    return content


def numbers_of_text(annotations: list[Any]) -> list[tuple[int, str, Any]]:
    """Turn ``area``, ``iscrowd`` and the numbers of ``bbox`` that are written as text into numbers.

    Other text, such as that of ids and sizes, stays. The objects of a COCO file are changed in place; returned are
    position, key and former value of what was changed.

    >>> objects = [dict(iscrowd='0', bbox=['1', '2.5', '3', '4'])]
    >>> [key for _, key, _ in numbers_of_text(objects)], objects
    (['iscrowd', 'bbox'], [{'iscrowd': 0, 'bbox': [1, 2.5, 3, 4]}])
    """
    changed = []
    for row, entry in enumerate(annotations):
        for key in ('area', 'iscrowd', 'bbox') if isinstance(entry, dict) else ():
            value = entry.get(key)
            values = value if isinstance(value, list) else [value]
            if str not in map(type, values):
                continue
            numbers = [json.loads(v) if isinstance(v, str) and _NUMBER.fullmatch(v) else v for v in values]
            if numbers != values:
                entry[key] = numbers if isinstance(value, list) else numbers[0]
                changed.append((row, key, value))
    return changed


class CocoReader(COCO):
    """The COCO API on files in any Unicode encoding, with categories in the order in which they are asked for.

    Numbers of objects that are text are read as numbers, a missing ``iscrowd`` as 0, and objects are numbered from 1,
    since COCOeval takes an id of 0 for none and fails on text.

    Args:
        annotation_file (str, optional): A JSON file. Defaults to None, an empty dataset.

    Raises:
        InputError: As :func:`read_coco`.
    """

    panoptic = False

    def __init__(self, annotation_file: str | None = None) -> None:
        super().__init__()
        if annotation_file is not None:
            self.dataset = read_coco(annotation_file, annotated=False, panoptic=self.panoptic)
            for image in self.dataset['images']:  # pycocotools decodes no mask at a size of 40.0
                image.update({key: int(image[key]) for key in ('height', 'width') if is_side(image.get(key))})
            numbers_of_text(self.dataset.get('annotations', []))
            for number, annotation in enumerate(self.dataset.get('annotations', []), 1):
                annotation.update(id=number, iscrowd=annotation.get('iscrowd') or 0)
            self.createIndex()
            self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def get_cat_ids(self, cat_names=(), sup_names=(), cat_ids=()) -> list:
        """Return the ids of categories; those asked for by name in the order of the names."""
        found = super().get_cat_ids(cat_names, sup_names, cat_ids)
        if isinstance(cat_names, (list, tuple)) and cat_names:
            place = {name: i for i, name in enumerate(cat_names)}
            found.sort(key=lambda category: place[self.cats[category]['name']])
        return found


@DATASETS.register_module()
class CocoInstanceDataset(CocoDataset):
    """CocoDataset whose labels follow the order of ``metainfo['classes']``, whatever the order in the file.

    mmdet numbers labels in the order of the file's categories, so that names and labels disagree where ``classes`` has
    another order, and training and validation where their files differ. Use CocoInstanceMetric with it.

    Args: As CocoDataset.

    >>> dict(type='CocoInstanceDataset', ann_file='train.json', metainfo=dict(classes=('cat', 'dog')))
    {'type': 'CocoInstanceDataset', 'ann_file': 'train.json', 'metainfo': {'classes': ('cat', 'dog')}}
    """

    COCOAPI = CocoReader
