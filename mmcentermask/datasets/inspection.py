"""Applies the rules to a COCO dataset."""

from collections.abc import Callable
from typing import NamedTuple

from . import class_rules, entry_rules, geometry_rules  # noqa: F401 - put their rules into the table
from .annotation_tables import CocoSplit, CocoTables
from .coco import read_coco
from .panoptic_rules import segments_as_objects
from .rules import RULES, Finding

__all__ = ['Inspection', 'inspect_dataset']

_FOLLOWING = ('classes', 'nothing-usable', 'many-lost', 'class-empty')  # from other faults, which are told first
_TOLERATED = 0.1  # share of damaged images that training goes on without; more is a broken copy of the data


class Inspection(NamedTuple):
    """A dataset and what was found in it."""

    split: CocoSplit
    tables: CocoTables
    found: dict[str, list[Finding]]  # by rule, errors first

    def is_error(self, name: str) -> bool:
        """Whether a rule is an error in this dataset."""
        if name == 'image-damaged' and self.split.tolerant and not self.split.scored:
            return len(self.found[name]) > _TOLERATED * len(self.tables.opened)
        return RULES[name].is_error(self.split)

    def count(self, errors: bool) -> int:
        """How many errors, or warnings, were found."""
        return sum(len(those) for name, those in self.found.items() if self.is_error(name) == errors)


def inspect_dataset(
    split: CocoSplit,
    dear: bool = True,
    decode: bool = True,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Inspection:
    """Apply the rules to a COCO dataset; nothing is written.

    Args:
        split (CocoSplit): The dataset, and what a run does with it.
        dear (bool): Whether to apply those rules that take time, and to open all images. Defaults to True.
        decode (bool): Whether to decode all of them, or only those in doubt. Defaults to True.
        workers (int): Images to look at at a time. Defaults to 1.
        progress (Callable): Is given the number of images that were looked at, and of all.

    Returns:
        Inspection: What was found.

    Raises:
        MissingFileError: If there is no annotation file.
        AnnotationError: If it is not JSON or lacks a list.

    >>> split = CocoSplit('train', 'data/annotations/train.json', 'data/train')
    >>> inspect_dataset(split).count(errors=True)  # doctest: +SKIP
    0
    """
    content = read_coco(split.ann_file, split.annotated, utf8_only=split.file_order, panoptic=bool(split.segments))
    if split.segments:
        content = segments_as_objects(content)
    tables = CocoTables(content, split, dear, decode, workers, progress)
    found = {}
    for name, entry in RULES.items():
        those = list(entry.check(tables)) if dear or not entry.dear else []
        if those:
            found[name] = those
    inspection = Inspection(split, tables, found)
    order = sorted(found, key=lambda name: (not inspection.is_error(name), name in _FOLLOWING))
    return inspection._replace(found={name: found[name] for name in order})
