"""Applies the rules on the classes of a COCO dataset, and on what is left of its objects."""

from collections.abc import Iterator, Sequence

import numpy as np

from .annotation_tables import CocoTables, Finding
from .values import found_in, is_id, listed

__all__ = ['check_classes', 'check_num_classes', 'check_usable']

_LOST = 0.2  # share of the objects that may be left out without a word


def check_num_classes(num_classes: int | None, classes: Sequence[str], source: str) -> str | None:
    """Compare the number of classes of the model with those of the data; return a sentence where they differ."""
    if num_classes is None or num_classes == len(classes):
        return None
    return (
        f'the model has {num_classes} classes, but {source} has {len(classes)}, {listed(classes)}: '
        f'set model.num_classes={len(classes)}, or metainfo=dict(classes=...) in the datasets'
    )


def check_classes(t: CocoTables) -> Iterator[Finding]:
    """Find classes that do not fit the file, each with the whole sentence, and the file's other categories."""
    sentences = _classes_that_differ(t), check_num_classes(t.split.num_classes, t.classes, t.split.ann_file)
    yield from (Finding('classes', sentence) for sentence in sentences if sentence)
    for i, name in t.names.items():
        if name not in t.classes:
            yield t.finding('category-left-out', i, f'{(t.category == i).sum()} objects', 'category')


def _classes_that_differ(t: CocoTables) -> str | None:
    path, names, classes = t.split.ann_file, list(t.names.values()), t.classes
    if not names:
        return f'{path} has no categories: write one with an id and a name for each class'
    not_text = [name for name in classes if not isinstance(name, str)]
    if not_text:
        return (
            f'the class {not_text[0]!r} is a {type(not_text[0]).__name__}, but names of categories are text: write '
            f'metainfo=dict(classes={listed([str(name) for name in classes])}) in the config file'
        )
    absent = [name for name in classes if name not in names]
    if absent:
        sentence = f'{len(absent)} of the {len(classes)} classes are not categories of {path} ({listed(absent)})'
        if t.split.segments:
            return (
                f'{sentence}: set thing_classes and stuff_classes in metainfo to names of its {len(names)} categories, '
                'and model.num_classes and model.num_stuff_classes to their numbers'
            )
        return (
            f'{sentence}, which has {len(names)}: set metainfo=dict(classes={listed(names)}) in the datasets and '
            f'model.num_classes={len(names)}'
        )
    if len(set(classes)) < len(classes):
        return f'a class stands twice in {listed(classes)}: name each once'
    if not t.split.file_order:
        return None
    ordered = list(dict.fromkeys(name for name in names if name in classes))
    if ordered != classes:
        return (
            f'the classes {listed(classes)} stand as {listed(ordered)} in {path}, and mmdet numbers labels in the '
            "file's order: set type='CocoInstanceDataset' in the datasets and type='CocoInstanceMetric' in the "
            'evaluators, which number them in the order of classes, or give the categories of all files one order'
        )
    ids = [t.categories[next(i for i, other in t.names.items() if other == name)].get('id') for name in classes]
    if t.split.classwise and all(map(is_id, ids)) and ids != sorted(ids, key=lambda value: (str(type(value)), value)):
        return (
            f'classwise=True of the evaluator names APs in the order of the category ids, and the classes '
            f'{listed(classes)} have the ids {ids[:6]} in {path}: leave classwise out, or set '
            "type='CocoInstanceMetric'"
        )
    return None


def check_usable(t: CocoTables) -> Iterator[Finding]:
    """Find out whether too few objects are left to learn from or to compare with, of all classes or of one."""
    if not t.split.annotated:
        return
    usable, reasons = t.usable
    counts = sorted(((len(rows), text) for (_, text), rows in reasons.items()), reverse=True)
    lost, told = sum(count for count, _ in counts), ', '.join(f'{count} {text}' for count, text in counts)
    if not usable.any():
        if reasons:
            (key, _), rows = max(reasons.items(), key=lambda item: len(item[1]))
            detail = f'{found_in(t.annotations[rows[0]], key)}; of {len(t.annotations)} objects {told}'
            yield t.finding('nothing-usable', rows[0], detail)
        else:
            detail = f'none of {len(t.annotations)} objects is of the classes {listed(t.classes)}'
            yield Finding('nothing-usable', detail)
    elif lost > _LOST * (usable.sum() + lost):
        yield Finding('many-lost', f'of {usable.sum() + lost} objects {told}')
    left = np.bincount(t.category[usable & (t.category >= 0)], minlength=len(t.categories))
    for i, name in t.names.items():
        if name in t.classes and not left[i]:
            present = (t.category == i).sum()
            yield t.finding('class-empty', i, f'{present} objects, none of them usable' if present else '', 'category')
