"""Applies the rules to a COCO dataset."""

from collections import defaultdict
from itertools import chain
from typing import NamedTuple

import numpy as np

from .annotation_tables import CocoSplit, CocoTables, Finding
from .class_rules import check_classes, check_usable
from .coco import read_coco
from .entry_rules import check_entries, check_ids, check_images, check_objects
from .geometry_rules import check_boxes, check_masks
from .image_files import Progress
from .panoptic_rules import check_panoptic, segments_as_objects
from .rules import RULES

__all__ = ['Inspection', 'inspect_dataset']

_CHECKS = (
    check_entries, check_ids, check_objects, check_boxes, check_masks, check_panoptic, check_classes, check_usable,
)  # fmt: skip
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
    progress: Progress = lambda done, total: None,
) -> Inspection:
    """Apply the rules to a COCO dataset; nothing is written.

    Args:
        split (CocoSplit): The dataset, and what a run does with it.
        dear (bool): Whether to apply those rules that take time, and to open all images. Defaults to True.
        decode (bool): Whether to decode all of them, or only those in doubt. Defaults to True.
        workers (int): Images to look at at a time. Defaults to 1.
        progress (Progress): Defaults to none.

    Raises:
        InputError: As ``read_coco``.

    >>> split = CocoSplit('train', 'data/annotations/train.json', 'data/train')
    >>> inspect_dataset(split).count(errors=True)  # doctest: +SKIP
    0
    """
    content = read_coco(split.ann_file, split.annotated, utf8_only=split.file_order, panoptic=bool(split.segments))
    tables = CocoTables(segments_as_objects(content) if split.segments else content, split, dear)
    found = defaultdict(list)
    with np.errstate(invalid='ignore', divide='ignore'):  # of boxes that are NaN
        of_images = check_images(tables, dear and decode, workers, progress)
        for finding in chain(of_images, *(check(tables) for check in _CHECKS)):
            found[finding.rule].append(finding)
    inspection = Inspection(split, tables, {name: found[name] for name in RULES if name in found})
    order = sorted(inspection.found, key=lambda name: not inspection.is_error(name))
    return inspection._replace(found={name: found[name] for name in order})
