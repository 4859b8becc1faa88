"""Rules on the entries of a COCO file: images, categories, objects, and whether they are of the config's classes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .annotation_tables import CocoTables
from .rules import Finding, at_object, rule
from .values import found_in, is_id, printable, shown

__all__ = ['check_num_classes']

_LOST = 0.2  # share of the objects that may be lost without a word


def _wrong_entries(tables: CocoTables, table: str, wrong: dict[int, list[str]]) -> Iterator[tuple[int, str]]:
    entries = getattr(tables, table)
    for i in sorted(wrong):
        yield i, ', '.join(found_in(entries[i], key) for key in wrong[i])


@rule('image-entry', 'error', 'image entry cannot be used', 'give id, file_name, height and width, numbers unquoted')
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
    'give id, image_id, category_id, area and, for evaluation, iscrowd as 0 or 1; numbers unquoted',
)
def _(t):
    for i, detail in _wrong_entries(t, 'annotations', t.wrong('annotations')):
        yield at_object(t, i, detail)


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
    'take the one without objects out, or rename one of them',
)
def _(t):
    for finding in _twice(t.categories, 'name', 'category'):
        name = t.categories[finding.category]['name']
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
                kinds = ('text', 'number') if isinstance(value, str) else ('number', 'text')
                yield at_object(
                    t, row, f'{key} {shown(value)} is {kinds[0]}, the id {shown(twin)} of the {table} {kinds[1]}'
                )
    for table, where in (('images', 'image'), ('categories', 'category'), ('annotations', 'annotation')):
        ids = [entry.get('id') for entry in getattr(t, table)]
        texts = [i for i, value in enumerate(ids) if isinstance(value, str)]
        # COCOeval sorts the ids, and keeps those of objects as numbers
        if texts and (len(texts) < sum(map(is_id, ids)) or (table == 'annotations' and t.split.scored)):
            yield Finding(
                f'id {shown(ids[texts[0]])} is text, as {len(texts)} of {len(ids)} in {table}', **{where: texts[0]}
            )


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19


@rule('object-id-zero', 'warning', 'object id 0 is taken for no object by COCOeval', 'number objects from 1')
def _(t):
    if t.split.scored:
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
    keys = np.column_stack([t.image, t.category, np.round(t.box, 2)]).astype(np.float64)
    for row, key in enumerate(keys.view('V48').ravel().tolist() if len(keys) else []):
        if t.image[row] < 0 or np.isnan(t.box[row, 0]):
            continue
        other = first.setdefault(key, row)
        if other != row:
            one, two = (t.annotations[i].get('segmentation') for i in (other, row))
            if type(one) is not type(two) or one == two:
                yield at_object(t, row, f'as object {shown(t.annotations[other].get("id"))}')


def _listed(names: Sequence[str]) -> str:
    """Write class names as Python would, with the comma that one name needs."""
    text = ', '.join(map(repr, names[:6]))
    return f'({text}, ...)' if len(names) > 6 else f'({text},)' if len(names) == 1 else f'({text})'


def check_num_classes(num_classes: int | None, classes: Sequence[str], source: str) -> str | None:
    """Compare the number of classes of the model with those of the data; return a sentence where they differ."""
    if num_classes is None or num_classes == len(classes):
        return None
    return (
        f'the model has {num_classes} classes, but {source} has {len(classes)}, {_listed(classes)}: '
        f'set model.num_classes={len(classes)}, or metainfo=dict(classes=...) in the datasets'
    )


@rule('classes', 'error', 'the classes of the config do not fit', '')
def _(t):
    path, names, classes = t.split.ann_file, list(t.names.values()), t.classes
    not_text = [name for name in classes if not isinstance(name, str)]
    absent = [name for name in classes if name not in names]
    if not_text:
        yield Finding(
            f'the class {not_text[0]!r} is a {type(not_text[0]).__name__}, but names of categories are text: write '
            f'metainfo=dict(classes={_listed([str(name) for name in classes])}) in the config file'
        )
    elif absent:
        yield Finding(
            f'{len(absent)} of the {len(classes)} classes are not categories of {path} ({_listed(absent)}), which has '
            f'{len(names)}: set metainfo=dict(classes={_listed(names)}) in the datasets and '
            f'model.num_classes={len(names)}'
        )
    elif len(set(classes)) < len(classes):
        yield Finding(f'a class stands twice in {_listed(classes)}: name each once')
    elif t.split.file_order and list(dict.fromkeys(n for n in names if n in classes)) != list(classes):
        ordered = list(dict.fromkeys(n for n in names if n in classes))
        yield Finding(
            f'the classes {_listed(classes)} stand as {_listed(ordered)} in {path}, and mmdet numbers labels in the '
            "file's order: set type='CocoInstanceDataset' in the datasets and type='CocoInstanceMetric' in the "
            'evaluators, which number them in the order of classes, or give the categories of all files one order'
        )
    elif t.split.classwise:
        ids = [next(i for i, n in t.names.items() if n == name) for name in classes]
        ids = [t.categories[i].get('id') for i in ids]
        if all(map(is_id, ids)) and ids != sorted(ids, key=lambda value: (str(type(value)), value)):
            yield Finding(
                f'classwise=True of the evaluator names APs in the order of the category ids, and the classes '
                f'{_listed(classes)} have the ids {ids[:6]} in {path}: leave classwise out, or order the classes by id'
            )
    sentence = check_num_classes(t.split.num_classes, classes, path)
    if sentence:
        yield Finding(sentence)


@rule('nothing-usable', 'annotated', 'there is nothing to learn from or to compare with', 'give a file with objects')
def _(t):
    if t.split.annotated and not t.usable[0].any():
        yield Finding(f'none of {len(t.annotations)} objects can be used{_reasons(t)}')


@rule('many-lost', 'warning', 'many objects cannot be used', 'make sure that this is meant')
def _(t):
    usable, lost = int(t.usable[0].sum()), sum(t.usable[1].values())
    if t.split.annotated and usable and lost > _LOST * (usable + lost):
        yield Finding(f'{lost} of {usable + lost}{_reasons(t)}')


def _reasons(t: CocoTables) -> str:
    reasons = [f'{count} {reason}' for reason, count in t.usable[1].most_common()]
    return ': ' + ', '.join(reasons) if reasons else f', of the classes {_listed(t.classes)}'


@rule('class-empty', 'warning', 'class without a usable object', 'add examples, or take the class out')
def _(t):
    if t.split.annotated:
        usable = np.bincount(t.category[t.usable[0] & (t.category >= 0)], minlength=len(t.categories))
        for i, name in t.names.items():
            if name in t.classes and not usable[i]:
                present = int((t.category == i).sum())
                yield Finding(f'{present} objects, none of them usable' if present else '', category=i)


@rule('category-left-out', 'warning', 'category is no class of the config, its objects are left out', 'add the class')
def _(t):
    for i, name in t.names.items():
        if name not in t.classes:
            yield Finding(f'{int((t.category == i).sum())} objects', category=i)
