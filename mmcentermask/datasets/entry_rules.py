"""Rules on the entries of a COCO file, images, categories and objects, and on its image files."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .annotation_tables import CocoTables
from .rules import Finding, at_object, rule
from .values import found_in, is_id, printable, shown


def _wrong_entries(tables: CocoTables, table: str, wrong: dict[int, list[str]]) -> Iterator[tuple[int, str]]:
    entries = getattr(tables, table)
    for i in sorted(wrong):
        yield i, ', '.join(found_in(entries[i], key) for key in wrong[i])


@rule(
    'image-entry',
    'error',
    'image entry cannot be used',
    'give id, file_name, and height and width of the file in pixels; numbers unquoted',
)
def _(t):
    for i, detail in _wrong_entries(t, 'images', t.wrong_images):
        yield Finding(detail, image=i)


@rule('category-entry', 'error', 'category entry cannot be used', 'give an id, and a name in quotes')
def _(t):
    for i, detail in _wrong_entries(t, 'categories', t.wrong('categories')):
        yield Finding(detail, category=i)


@rule(
    'object-entry',
    'error',
    'object entry cannot be used',
    'give id, image_id, category_id, area, and iscrowd as 0 or 1; numbers unquoted',
)
def _(t):
    for i, detail in _wrong_entries(t, 'annotations', t.wrong('annotations')):
        yield at_object(t, i, detail)


@rule('number-as-text', 'warning', 'number is text, and read as a number', 'write it without quotes')
def _(t):
    for row, key, value in t.read_as_numbers:
        yield at_object(t, row, f'{key} is {shown(value)}')


def _twice(entries: list[dict], key: str, where: str) -> Iterator[Finding]:
    first = {}
    for i, entry in enumerate(entries):
        value = entry.get(key)
        if (is_id(value) if key == 'id' else isinstance(value, str)) and first.setdefault(value, i) != i:
            yield Finding(f'{key} {shown(value)} is that of entry {first[value]}', **{where: i})


@rule('image-id-twice', 'error', 'two images have the same id', 'give each image an id of its own, in both lists')
def _(t):
    yield from _twice([{} if i in t.wrong_images else entry for i, entry in enumerate(t.images)], 'id', 'image')


@rule('image-file-twice', 'warning', 'two image entries name the same file', 'take one of the entries out')
def _(t):
    yield from _twice(t.images, 'file_name', 'image')


@rule('category-id-twice', 'error', 'two categories have the same id', 'give each category an id of its own')
def _(t):
    yield from _twice(t.categories, 'id', 'category')


@rule(
    'category-name-twice',
    'error',
    'two categories have the same name',
    'take the one without objects out, give the objects of both one id, or rename one',
)
def _(t):
    for finding in _twice(t.categories, 'name', 'category'):
        name = t.categories[finding.category]['name']
        if name not in t.classes:
            continue
        ids = [(entry.get('id'), i) for i, entry in enumerate(t.categories) if entry.get('name') == name]
        counts = [f'id {shown(key)} has {int((t.category == i).sum())} objects' for key, i in ids]
        yield finding._replace(detail=f'of those named {printable(name)}, {" and ".join(counts)}')


@rule('object-id-twice', 'error', 'two objects have the same id', 'give each object an id of its own')
def _(t):
    for finding in _twice(t.annotations, 'id', 'annotation'):
        yield at_object(t, finding.annotation, finding.detail)


@rule(
    'id-types',
    'error',
    'ids are text in one place and numbers in another',
    'write ids as numbers everywhere, without quotes',
)
def _(t):
    for key, at, table in (('image_id', t.image_at, 'image'), ('category_id', t.category_at, 'category')):
        for row in np.flatnonzero((t.image if table == 'image' else t.category) < 0):
            value = t.annotations[row].get(key)
            twin = str(value) if type(value) is int else int(value) if _is_digits(value) else None
            if twin is not None and twin in at:
                kinds = ('text', 'a number') if isinstance(value, str) else ('a number', 'text')
                which = f'{key} {shown(value)} is {kinds[0]}, but the id {shown(twin)} of the {table} is {kinds[1]}'
                yield at_object(t, row, which)
    for table, where in (('images', 'image'), ('categories', 'category'), ('annotations', 'annotation')):
        ids = [entry.get('id') for entry in getattr(t, table)]
        texts = [i for i, value in enumerate(ids) if isinstance(value, str)]
        # COCOeval sorts the ids, and keeps those of objects as numbers; our reader numbers objects anew
        refused = t.split.scored and t.split.file_order if table == 'annotations' else len(texts) < sum(map(is_id, ids))
        if texts and refused:
            yield Finding(
                f'id {shown(ids[texts[0]])} is text, as {len(texts)} of {len(ids)} in {table}', **{where: texts[0]}
            )


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19


@rule('object-id-zero', 'warning', 'object id 0 is taken for no object by COCOeval', 'number objects from 1')
def _(t):
    if t.split.scored and t.split.file_order:
        for row, entry in enumerate(t.annotations):
            if type(entry.get('id')) in (int, float) and entry['id'] == 0:
                yield at_object(t, row, 'a right detection of it counts as a wrong one')


@rule('object-no-image', 'warning', 'object is in no image of the file', 'correct image_id, or take the object out')
def _(t):
    for row in np.flatnonzero(t.image < 0):
        if is_id(t.annotations[row].get('image_id')):
            yield Finding(found_in(t.annotations[row], 'image_id'), annotation=int(row))


@rule(
    'object-no-category', 'warning', 'object is of no category of the file', 'correct category_id, or add the category'
)
def _(t):
    for row in np.flatnonzero(t.category < 0):
        if is_id(t.annotations[row].get('category_id')):
            yield at_object(t, row, found_in(t.annotations[row], 'category_id'))


@rule('object-area', 'warning', 'area is zero, so training leaves the object out', 'write the area of the mask')
def _(t):
    for row, entry in enumerate(t.annotations):
        if entry.get('area') == 0 and type(entry['area']) is not bool:
            yield at_object(t, row)


@rule('object-twice', 'warning', 'object is the same as another one of its image', 'take one of the two out')
def _(t):
    first = {}
    keys = np.column_stack([t.image, np.round(t.box, 2)]).astype(np.float64)
    for row, key in enumerate(keys.view('V40').ravel().tolist() if len(keys) else []):
        if t.image[row] < 0 or np.isnan(t.box[row, 0]):
            continue
        other = first.setdefault(key, row)
        if other != row:
            one, two = (t.annotations[i].get('segment_id', t.annotations[i].get('segmentation')) for i in (other, row))
            if type(one) is not type(two) or one == two:
                classes = '' if t.category[row] == t.category[other] else ', of another category'
                yield at_object(t, row, f'as object {shown(t.annotations[other].get("id"))}{classes}')


def _image_rule(name: str, severity: str, text: str, hint: str) -> None:
    @rule(name, severity, text, hint)
    def _(t):
        for image, problem in t.image_problems:
            if problem.rule == name:
                yield Finding(printable(problem.detail, 300), image=image)


_image_rule('image-missing', 'error', 'there is no image file', 'put the file there, or correct file_name')
_image_rule(
    'image-damaged', 'error', 'image cannot be decoded', 'replace it by a complete JPEG or PNG, or leave it out'
)
_image_rule(
    'image-size',
    'error',
    'image has another size than its entry says',
    'annotate the images as they are read, and write that size into the entries; where EXIF turned an image that was '
    'annotated as it is stored, set color_type=color_ignore_orientation in each LoadTrainingImage and '
    'LoadImageFromFile: --cfg-options train_dataloader.dataset.pipeline.0.color_type=color_ignore_orientation, and so '
    'for val_dataloader and test_dataloader',
)
_image_rule(
    'image-depth',
    'error',
    'image has more than 8 bits or 4 channels',
    'scale the images to 8 bits, 3 channels, in the same way as those that the weights were trained on',
)
_image_rule(
    'image-turned',
    'warning',
    'image is turned or mirrored by its EXIF orientation, which its size does not show',
    'make sure that it was annotated upright, or set color_type=color_ignore_orientation in its loader',
)
_image_rule(
    'image-alpha',
    'warning',
    'image has a fourth channel (transparency or another band), which is not read',
    'make sure that the other three are the image as it was annotated',
)
_image_rule('image-elsewhere', 'warning', 'image is outside of the image folder', 'make sure that this is meant')
