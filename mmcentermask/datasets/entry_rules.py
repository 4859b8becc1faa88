"""Applies the rules on the entries of a COCO file, images, categories and objects, and on its image files."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .annotation_tables import TABLES, CocoTables, Finding
from .image_files import Progress, look_at_images
from .values import found_in, is_id, printable, shown

__all__ = ['check_entries', 'check_ids', 'check_images', 'check_objects']

_ENTRIES = dict(image='image-entry', category='category-entry', annotation='object-entry')
_TWICE = (
    ('image-id-twice', 'image', 'id'),
    ('image-file-twice', 'image', 'file_name'),
    ('category-id-twice', 'category', 'id'),
    ('category-name-twice', 'category', 'name'),
    ('object-id-twice', 'annotation', 'id'),
)


def check_entries(t: CocoTables) -> Iterator[Finding]:
    """Find entries with values that cannot be used, and those that stand twice."""
    for place, rule in _ENTRIES.items():
        for i, keys in t.wrong[place].items():
            detail = ', '.join(found_in(t.lists[place][i], key) for key in keys)
            yield t.finding(rule, i, detail, place)
    for rule, place, key in _TWICE:
        entries, first = t.lists[place], {}
        for i, entry in enumerate(entries):
            value = entry.get(key)
            if not (is_id(value) if key == 'id' else isinstance(value, str)):
                continue
            if rule == 'image-id-twice' and i in t.wrong[place]:
                continue
            if first.setdefault(value, i) == i or (key == 'name' and value not in t.classes):
                continue
            detail = f'{key} {shown(value)} is that of entry {first[value]}'
            if key == 'name':
                those = [(j, other.get('id')) for j, other in enumerate(entries) if other.get('name') == value]
                counts = [f'id {shown(number)} has {(t.category == j).sum()} objects' for j, number in those]
                detail = f'of those named {printable(value)}, {" and ".join(counts)}'
            yield t.finding(rule, i, detail, place)


def check_ids(t: CocoTables) -> Iterator[Finding]:
    """Find ids that are text in one place and numbers in another, or of nothing."""
    for place, positions in (('image', t.image), ('category', t.category)):
        for row in np.flatnonzero(positions < 0):
            entry, key = t.annotations[row], f'{place}_id'
            value = entry.get(key)
            if not is_id(value):
                continue
            yield t.finding(f'object-no-{place}', row, found_in(entry, key))
            twin = str(value) if type(value) is int else int(value) if _is_digits(value) else None
            if twin is not None and twin in t.at[place]:
                kinds = ('text', 'a number') if isinstance(value, str) else ('a number', 'text')
                detail = f'{key} {shown(value)} is {kinds[0]}, but the id {shown(twin)} of the {place} is {kinds[1]}'
                yield t.finding('id-types', row, detail)
    for place, entries in t.lists.items():
        ids = [entry.get('id') for entry in entries]
        texts = [i for i, value in enumerate(ids) if isinstance(value, str)]
        # COCOeval sorts the ids, and keeps those of objects as numbers; our reader numbers objects anew
        refused = t.split.scored_by_mmdet if place == 'annotation' else len(texts) < sum(map(is_id, ids))
        if texts and refused:
            detail = f'id {shown(ids[texts[0]])} is text, as {len(texts)} of {len(ids)} in {TABLES[place]}'
            yield t.finding('id-types', texts[0], detail, place)


def _is_digits(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19


def check_objects(t: CocoTables) -> Iterator[Finding]:
    """Find objects that are read in another way than they are written, left out, or there twice."""
    for row, key, value in t.read_as_numbers:
        yield t.finding('number-as-text', row, f'{key} is {shown(value)}')
    for row, entry in enumerate(t.annotations):
        if t.split.scored_by_mmdet and type(entry.get('id')) in (int, float) and entry['id'] == 0:
            yield t.finding('object-id-zero', row, 'a right detection of it counts as a wrong one')
        if entry.get('area') == 0 and type(entry['area']) is not bool:
            yield t.finding('object-area', row)
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
                detail = f'as object {shown(t.annotations[other].get("id"))}{classes}'
                yield t.finding('object-twice', row, detail)


def check_images(t: CocoTables, decode: bool, workers: int, progress: Progress) -> Iterator[Finding]:
    """Find image files that are not there, damaged or not what their entries say; see ``look_at_images``."""
    rows = t.opened
    names, sizes = [t.images[i]['file_name'] for i in rows], [tuple(t.sizes[i].tolist()) for i in rows]
    for i, problems in zip(rows, look_at_images(names, sizes, t.split, decode, workers, progress)):
        for rule, detail in problems:
            yield Finding(rule, printable(detail, 300), image=i)
