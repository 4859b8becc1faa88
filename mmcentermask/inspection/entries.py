"""Checks the entries of a COCO file one by one: images, categories and objects, whatever stands in them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from .findings import Findings, printable

__all__ = ['Objects', 'check_boxes', 'check_categories', 'check_images', 'check_objects', 'usable_box']

LARGEST = 1e9  # of a coordinate or an id, in absolute value
_MOST_PIXELS = 2**31  # run lengths count in 32 bits
OUTSIDE = 1.0  # pixels that a coordinate may lie out of the image, for those who round


class Objects(NamedTuple):
    """The objects whose entries can be used; N of them."""

    index: np.ndarray  # (N,) position among the annotations
    image: np.ndarray  # (N,) position of the image
    size: np.ndarray  # (N, 2) height and width of the image
    box: np.ndarray  # (N, 4) x, y, width, height; NaN where it cannot be used
    category: np.ndarray  # (N,) position of the category, -1 where there is none
    counted: np.ndarray  # (N,) whether training learns from it: not a crowd, not left out


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -LARGEST < value < LARGEST  # NaN is neither


def usable_box(value: Any) -> bool:
    """Whether something is a box: x, y, width and height, finite, sizes not negative.

    Args:
        value (Any): What stands in ``bbox``.

    Returns:
        bool: Whether it is one.
    """
    return isinstance(value, list) and len(value) == 4 and all(map(_is_number, value)) and min(value[2:]) >= 0


def _is_id(value: Any) -> bool:
    return isinstance(value, str) or (type(value) is int and abs(value) < 2**63)


def _is_side(value: Any) -> bool:
    return _is_number(value) and value >= 1 and value == int(value)


def _check_ids(kind: str, ids: Iterable[tuple[int, Any]], findings: Findings, where: str) -> dict[Any, int]:
    """Return id -> position of the first entry that has it."""
    first = {}
    for position, value in ids:
        if first.setdefault(value, position) != position:
            findings.add(kind, f'id {printable(value)}, as entry {first[value]}', **{where: position})
    return first


def check_images(images: list, findings: Findings) -> tuple[dict[Any, int], np.ndarray]:
    """Check the entries of the images.

    Args:
        images (list): The file's ``images``.
        findings (Findings): Added to.

    Returns:
        tuple: id -> position; int array (N, 2) of heights and widths, 0 where an entry cannot be used.
    """
    sizes = np.zeros((len(images), 2), np.int64)
    usable = []
    files = {}
    for i, image in enumerate(images):
        entry = image if isinstance(image, dict) else {}
        height, width, name = entry.get('height'), entry.get('width'), entry.get('file_name')
        wrong = [key for key, value in (('height', height), ('width', width)) if not _is_side(value)]
        if not isinstance(name, str) or not name or '\0' in name:
            wrong.append('file_name')
        if not _is_id(entry.get('id')):
            wrong.append('id')
        if not wrong and height * width >= _MOST_PIXELS:
            wrong = ['height', 'width']
        if wrong:
            shown = ', '.join(f'{key} is {printable(entry[key], 20)}' if key in entry else f'no {key}' for key in wrong)
            findings.add('image-entry', shown, image=i)
            continue
        usable.append((i, entry['id']))
        sizes[i] = height, width
        if files.setdefault(name, i) != i:
            findings.add('image-file-twice', f'as entry {files[name]}', image=i)
    return _check_ids('image-id-twice', usable, findings, 'image'), sizes


def check_categories(categories: list, findings: Findings) -> dict[Any, int]:
    """Check the entries of the categories.

    Args:
        categories (list): The file's ``categories``.
        findings (Findings): Added to.

    Returns:
        dict: id -> position.
    """
    usable, names = [], {}
    for i, category in enumerate(categories):
        entry = category if isinstance(category, dict) else {}
        wrong = [] if _is_id(entry.get('id')) else ['id']
        if not isinstance(entry.get('name'), str):
            wrong.append('name')
        if wrong:
            findings.add('category-entry', f'no {" and no ".join(wrong)}', category=i)
            continue
        usable.append((i, entry['id']))
        if names.setdefault(entry['name'], i) != i:
            findings.add('category-name-twice', f'as entry {names[entry["name"]]}', category=i)
    return _check_ids('category-id-twice', usable, findings, 'category')


def check_objects(
    annotations: list,
    images: dict[Any, int],
    sizes: np.ndarray,
    categories: dict[Any, int],
    scored: bool,
    findings: Findings,
) -> Objects:
    """Check the entries of the objects, but for the numbers in their boxes and masks.

    Args:
        annotations (list): The file's ``annotations``.
        images (dict): id -> position.
        sizes (ndarray): (N, 2), height and width of each image.
        categories (dict): id -> position.
        scored (bool): Whether predictions are compared with them, which asks for ``iscrowd``.
        findings (Findings): Added to.

    Returns:
        Objects: Those in a known image.
    """
    rows, boxes, ids = [], [], []
    nothing = (np.nan,) * 4
    for i, annotation in enumerate(annotations):
        entry = annotation if isinstance(annotation, dict) else {}
        area, crowd = entry.get('area'), entry.get('iscrowd')
        wrong = [key for key in ('id', 'image_id', 'category_id') if not _is_id(entry.get(key))]
        if not _is_number(area) or area < 0:
            wrong.append('area')
        if not (crowd in (0, 1) if _is_number(crowd) or isinstance(crowd, bool) else crowd is None and not scored):
            wrong.append('iscrowd')
        image = images.get(entry['image_id']) if 'image_id' not in wrong else None
        if wrong:
            shown = ', '.join(f'{key} is {printable(entry[key], 20)}' if key in entry else f'no {key}' for key in wrong)
            findings.add('object-entry', shown, image=image, annotation=i)
        if 'id' not in wrong:
            ids.append((i, entry['id']))
        if 'image_id' not in wrong and image is None:
            findings.add('object-no-image', f'image_id {printable(entry["image_id"])}', annotation=i)
        category = -1
        if 'category_id' not in wrong:
            category = categories.get(entry['category_id'], -1)
            if category < 0:
                detail = f'category_id {printable(entry["category_id"])}'
                findings.add('object-no-category', detail, image=image, annotation=i)
        if 'area' not in wrong and area == 0:
            findings.add('object-area', '', image=image, annotation=i)
        if image is None:
            continue
        box = entry.get('bbox')
        usable = usable_box(box)
        if not usable:
            detail = f'is {printable(box, 40)}' if 'bbox' in entry else 'no bbox'
            findings.add('box-invalid', detail, image=image, annotation=i)
        rows.append((i, image, category, category >= 0 and 'area' not in wrong and area > 0 and not crowd))
        boxes.append(box if usable else nothing)
    _check_ids('object-id-twice', ids, findings, 'annotation')
    table = np.array(rows, np.int64).reshape(-1, 4)
    box = np.array(boxes, np.float64).reshape(-1, 4)
    index, image, category, counted = table.T
    with np.errstate(invalid='ignore'):
        counted = counted.astype(bool) & (box[:, 2:] >= 1).all(1)
    return Objects(index, image, sizes[image], box, category, counted)


def check_boxes(objects: Objects, findings: Findings) -> None:
    """Check that boxes are inside of their images and cover at least a pixel.

    Args:
        objects (Objects): The objects.
        findings (Findings): Added to.
    """
    x, y, w, h = objects.box.T
    height, width = objects.size.T
    with np.errstate(invalid='ignore'):
        beyond = np.maximum.reduce([-x, -y, x + w - width, y + h - height])
        small = (w < 1) | (h < 1)
    for i in np.flatnonzero(beyond > OUTSIDE):
        box = ', '.join(f'{value:.4g}' for value in objects.box[i])
        detail = f'by {beyond[i]:.4g} pixels: [{box}] in an image of {width[i]} x {height[i]}'
        findings.add('box-outside', detail, image=int(objects.image[i]), annotation=int(objects.index[i]))
    for i in np.flatnonzero(small):
        detail = f'{w[i]:.4g} x {h[i]:.4g}'
        findings.add('box-small', detail, image=int(objects.image[i]), annotation=int(objects.index[i]))
