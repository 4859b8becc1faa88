"""The table of rules on COCO annotation files, for training, testing and ``tools/check_dataset.py``.

Training and testing run the cheap rules before they begin and refuse a file that breaks one of severity ``error``;
``tools/check_dataset.py`` runs all of them. What an error names would stop the run or make its results wrong; a warning
names what is left out, or perhaps not meant. The rules themselves are in entry_rules.py, geometry_rules.py and
class_rules.py.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .annotation_tables import CocoSplit, CocoTables
from .values import listed

__all__ = ['RULES', 'Finding', 'Rule', 'at_object', 'check_num_classes', 'rule']


class Finding(NamedTuple):
    """Where a rule is broken; numbers are positions in the file's lists."""

    detail: str = ''
    image: int | None = None
    annotation: int | None = None
    category: int | None = None


class Rule(NamedTuple):
    """A rule on a COCO dataset.

    Attributes:
        severity: ``'error'``; ``'warning'``; or what must be so for an error, an attribute of CocoSplit.
        dear: Whether it takes decoding images or geometry of polygons.
        text: What is wrong.
        hint: How to put it right.
        check: Yields where it is broken.
    """

    severity: str
    dear: bool
    text: str
    hint: str
    check: Callable[[CocoTables], Iterator[Finding]]

    def is_error(self, split: CocoSplit) -> bool:
        """Whether a run on ``split`` refuses it."""
        return self.severity == 'error' or (self.severity != 'warning' and getattr(split, self.severity))


RULES: dict[str, Rule] = {}


def rule(name: str, severity: str, text: str, hint: str, dear: bool = False) -> Callable:
    """Put a check into the table."""

    def add(check: Callable[[CocoTables], Iterator[Finding]]) -> Callable:
        RULES[name] = Rule(severity, dear, text, hint, check)
        return check

    return add


def at_object(tables: CocoTables, row: int, detail: str = '') -> Finding:
    """Return a finding at an object and its image."""
    image = int(tables.image[row])
    return Finding(detail, image=image if image >= 0 else None, annotation=int(row))


def check_num_classes(num_classes: int | None, classes: Sequence[str], source: str) -> str | None:
    """Compare the number of classes of the model with those of the data; return a sentence where they differ."""
    if num_classes is None or num_classes == len(classes):
        return None
    return (
        f'the model has {num_classes} classes, but {source} has {len(classes)}, {listed(classes)}: '
        f'set model.num_classes={len(classes)}, or metainfo=dict(classes=...) in the datasets'
    )
