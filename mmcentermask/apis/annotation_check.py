"""Checks that a COCO annotation file is whole and fits the classes."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import AnnotationError, MissingFileError

__all__ = ['check_classes', 'check_num_classes', 'check_objects', 'read_annotations', 'read_tables']

_KEYS = {
    'images': ('id', 'file_name', 'height', 'width'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area', 'segmentation'),
    'categories': ('id', 'name'),
}


def read_tables(path: str, annotated: bool = True) -> dict[str, Any]:
    """Read a COCO annotation file and check that its lists are there, whatever they hold.

    Args:
        path (str): A JSON file.
        annotated (bool): Whether annotations must be there. Defaults to True.

    Returns:
        dict: Its contents.

    Raises:
        MissingFileError: If there is no such file.
        AnnotationError: If it cannot be read, is not JSON or lacks a list.
    """
    if not os.path.isfile(path):  # Path's own fails at names that are too long
        raise MissingFileError(
            f'there is no annotation file {path}: give the folder of the data with --cfg-options data_root=FOLDER, '
            'or set ann_file in the config.'
        )
    try:
        content = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise AnnotationError(f'the annotation file {path} cannot be read ({error.strerror}): mend that.') from error
    except (ValueError, RecursionError) as error:  # of JSON, of the encoding, of brackets without end
        raise AnnotationError(
            f'the annotation file {path} is not JSON ({error}): give a complete COCO annotation file.'
        ) from error
    for name in _KEYS:
        if name == 'annotations' and not annotated and name not in content:
            continue
        if not isinstance(content.get(name) if isinstance(content, dict) else None, list):
            raise AnnotationError(
                f'the annotation file {path} has no list {name!r}: give a COCO annotation file, '
                f'which has the lists {", ".join(_KEYS)}.'
            )
    return content


def read_annotations(path: str, also: Sequence[str] = (), annotated: bool = True) -> dict[str, Any]:
    """Read a COCO annotation file and check that it has what training and evaluation read.

    Args:
        path (str): A JSON file.
        also (Sequence[str]): Keys that every annotation must have besides the usual ones. Defaults to ().
        annotated (bool): Whether annotations must be there. Defaults to True.

    Returns:
        dict: Its contents.

    Raises:
        MissingFileError: If there is no such file.
        AnnotationError: If it is not JSON or lacks keys.
    """
    content = read_tables(path, annotated)
    for name, keys in _KEYS.items():
        if name == 'annotations' and not annotated:
            continue
        keys = keys + tuple(also) if name == 'annotations' else keys
        for i, entry in enumerate(content[name]):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if missing:
                raise AnnotationError(
                    f'the annotation file {path} lacks {", ".join(map(repr, missing))} in {name}[{i}]: add it, '
                    f'as COCO asks for in each of the {name}.'
                )
    return content


def _listed(names: Sequence[str]) -> str:
    """Write class names as Python would, with the comma that one name needs."""
    shown = ', '.join(map(repr, names[:6]))
    return f'({shown}, ...)' if len(names) > 6 else f'({shown},)' if len(names) == 1 else f'({shown})'


def check_classes(classes: Sequence[str], content: dict[str, Any], path: str) -> None:
    """Check that the data set's classes are categories of its file, in the file's order.

    mmdet drops the objects of any other category without a word, and numbers labels in the order of the file.

    Args:
        classes (Sequence[str]): The data set's class names.
        content (dict): The annotation file's contents.
        path (str): Its name, for the message.

    Raises:
        AnnotationError: If classes are missing, doubled or in another order.
    """
    names = [category['name'] for category in content['categories']]
    absent = [name for name in classes if name not in names]
    if absent:
        raise AnnotationError(
            f'{len(absent)} of the {len(classes)} classes are not categories of {path} ({_listed(absent)}), which has '
            f'{len(names)}: set metainfo=dict(classes={_listed(names)}) in the data sets '
            f'and model.num_classes={len(names)}.'
        )
    ordered = [name for name in names if name in classes]
    if ordered != list(classes):
        raise AnnotationError(
            f'the classes {_listed(classes)} stand as {_listed(ordered)} in {path}, and labels are numbered in the '
            "file's order: write the classes in that order, each once."
        )


def check_objects(classes: Sequence[str], content: dict[str, Any], path: str) -> None:
    """Check that there is at least one object to learn from.

    Args:
        classes (Sequence[str]): The data set's class names.
        content (dict): The annotation file's contents.
        path (str): Its name, for the message.

    Raises:
        AnnotationError: If no annotation is of these classes.
    """
    ids = {category['id'] for category in content['categories'] if category['name'] in classes}
    images = {image['id'] for image in content['images']}
    if not any(a['category_id'] in ids and a['image_id'] in images for a in content['annotations']):
        raise AnnotationError(
            f'no annotation in {path} is of the classes {_listed(classes)}: give a file with objects to train on.'
        )


def check_num_classes(num_classes: int | None, classes: Sequence[str], source: str) -> None:
    """Check that the model has as many classes as the data.

    Args:
        num_classes (int, optional): The model's; None is not checked.
        classes (Sequence[str]): The data set's class names.
        source (str): What has these classes, for the message.

    Raises:
        AnnotationError: If the numbers differ.
    """
    if num_classes is not None and num_classes != len(classes):
        raise AnnotationError(
            f'the model has {num_classes} classes, but {source} has {len(classes)}, {_listed(classes)}: '
            f'set model.num_classes={len(classes)}, or metainfo=dict(classes=...) in the data sets.'
        )
