"""Rules on the classes of a COCO dataset, and on what is left of its objects."""

import numpy as np

from .annotation_tables import CocoTables
from .rules import Finding, at_object, check_num_classes, rule
from .values import found_in, is_id, listed

_LOST = 0.2  # share of the objects that may be left out without a word


@rule('classes', 'error', 'the classes of the config do not fit', '')
def _(t):
    path, names, classes = t.split.ann_file, list(t.names.values()), t.classes
    not_text = [name for name in classes if not isinstance(name, str)]
    absent = [name for name in classes if name not in names]
    if not names:
        yield Finding(f'{path} has no categories: write one with an id and a name for each class')
    elif not_text:
        yield Finding(
            f'the class {not_text[0]!r} is a {type(not_text[0]).__name__}, but names of categories are text: write '
            f'metainfo=dict(classes={listed([str(name) for name in classes])}) in the config file'
        )
    elif absent and t.split.segments:
        yield Finding(
            f'{len(absent)} of the {len(classes)} classes are not categories of {path} ({listed(absent)}): set '
            f'thing_classes and stuff_classes in metainfo to names of its {len(names)} categories, and '
            'model.num_classes and model.num_stuff_classes to their numbers'
        )
    elif absent:
        yield Finding(
            f'{len(absent)} of the {len(classes)} classes are not categories of {path} ({listed(absent)}), which has '
            f'{len(names)}: set metainfo=dict(classes={listed(names)}) in the datasets and '
            f'model.num_classes={len(names)}'
        )
    elif len(set(classes)) < len(classes):
        yield Finding(f'a class stands twice in {listed(classes)}: name each once')
    elif t.split.file_order and list(dict.fromkeys(n for n in names if n in classes)) != list(classes):
        ordered = list(dict.fromkeys(n for n in names if n in classes))
        yield Finding(
            f'the classes {listed(classes)} stand as {listed(ordered)} in {path}, and mmdet numbers labels in the '
            "file's order: set type='CocoInstanceDataset' in the datasets and type='CocoInstanceMetric' in the "
            'evaluators, which number them in the order of classes, or give the categories of all files one order'
        )
    elif t.split.file_order and t.split.classwise:
        ids = [next(i for i, n in t.names.items() if n == name) for name in classes]
        ids = [t.categories[i].get('id') for i in ids]
        if all(map(is_id, ids)) and ids != sorted(ids, key=lambda value: (str(type(value)), value)):
            yield Finding(
                f'classwise=True of the evaluator names APs in the order of the category ids, and the classes '
                f'{listed(classes)} have the ids {ids[:6]} in {path}: leave classwise out, or set '
                "type='CocoInstanceMetric'"
            )
    sentence = check_num_classes(t.split.num_classes, classes, path)
    if sentence:
        yield Finding(sentence)


@rule(
    'nothing-usable',
    'annotated',
    'no object is left to learn from, or to compare with',
    'give objects of the classes that have a box, an area and a mask, and iscrowd 0 where they are single objects',
)
def _(t):
    if t.split.annotated and not t.usable[0].any():
        reasons = t.usable[1]
        if not reasons:
            yield Finding(f'none of {len(t.annotations)} objects is of the classes {listed(t.classes)}')
        else:
            (key, _), rows = max(reasons.items(), key=lambda item: len(item[1]))
            stands = found_in(t.annotations[rows[0]], key)
            yield at_object(t, rows[0], f'{stands}; of {len(t.annotations)} objects {_counts(t)}')


@rule('many-lost', 'warning', 'many objects are left out', 'make sure that this is meant')
def _(t):
    usable, lost = int(t.usable[0].sum()), sum(map(len, t.usable[1].values()))
    if t.split.annotated and usable and lost > _LOST * (usable + lost):
        yield Finding(f'of {usable + lost} objects {_counts(t)}')


def _counts(t: CocoTables) -> str:
    counts = sorted(((len(rows), text) for (_, text), rows in t.usable[1].items()), reverse=True)
    return ', '.join(f'{count} {text}' for count, text in counts)


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
