"""A COCO file as columns, for the rules on it: what stands in the entries, and what a run makes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .coco import numbers_of_text
from .image_files import Decoder, Problem, look_at_images
from .masks import NOTHING, Masks
from .values import is_flag, is_id, is_name, is_number, is_side

__all__ = ['CocoSplit', 'CocoTables']

_MOST_PIXELS = 2**31  # RLE counts in 32 bits
_OPENED = 10000  # images that a cheap check opens, evenly spread: all of a validation set, seconds of a million


@dataclass
class CocoSplit:
    """A COCO dataset of a run, and what the run does with it.

    Attributes:
        name: What to call it: the split or splits that use it.
        ann_file: Its annotation file.
        folder: The folder of its images; '' where none are opened.
        classes: The config's class names; None takes all categories.
        num_classes: Number of classes of the model; None is not checked.
        trained: Whether it is trained on.
        scored: Whether predictions are compared with it.
        masks: Whether masks are read at all.
        masks_scored: Whether predicted masks are compared with its own.
        masks_present: Whether the pipeline fails on an object without a mask.
        file_order: Whether labels are numbered in the order of the file, as CocoDataset and CocoMetric do.
        classwise: Whether the AP of each class is printed.
        min_size: Training leaves out images whose shorter side is less.
        skip_empty: Whether training leaves out images without objects.
        images: Whether image files are looked at.
        color_type: The pipeline's, of ``mmcv.imfrombytes``.
        backend: The pipeline's, of ``mmcv.imfrombytes``.
        tolerant: Whether training goes on without images that cannot be decoded.
        segments: Of panoptic annotations the folder of the PNGs; '' where they are of instances.
        things: Names of the classes that are things, of panoptic annotations.
        place: Where it stands in the config.
    """

    name: str
    ann_file: str
    folder: str = ''
    classes: Sequence[str] | None = None
    num_classes: int | None = None
    trained: bool = True
    scored: bool = False
    masks: bool = True
    masks_scored: bool = False
    masks_present: bool = False
    file_order: bool = True
    classwise: bool = False
    min_size: int = 0
    skip_empty: bool = False
    images: bool = True
    color_type: str = 'color'
    backend: str = 'cv2'
    tolerant: bool = False
    segments: str = ''
    things: Sequence[str] = ()
    place: str = 'train_dataloader.dataset'

    @property
    def masks_needed(self) -> bool:
        """Whether the run fails on an object without a mask."""
        return self.masks_present or self.masks_scored

    @property
    def annotated(self) -> bool:
        """Whether there must be annotations."""
        return self.trained or self.scored


def _first(values: Sequence) -> dict[Any, int]:
    """Return value -> position of the first entry that has it, for values that are ids."""
    first = {}
    for i, value in enumerate(values):
        if is_id(value):
            first.setdefault(value, i)
    return first


class CocoTables:
    """The entries of a COCO file as columns. I images, N objects, C categories.

    Args:
        content (dict): Of the file.
        split (CocoSplit): What the run does with it.
        dear (bool): Whether to look at every RLE and every image. Defaults to True.
        decode (bool): Whether to decode every image, or only those in doubt. Defaults to True.
        workers (int): Images to look at at a time. Defaults to 1.
        progress (Callable): Is given the number of images that were looked at, and of all.
    """

    def __init__(
        self,
        content: dict[str, Any],
        split: CocoSplit,
        dear: bool = True,
        decode: bool = True,
        workers: int = 1,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.split, self.dear, self.decode, self.workers, self.progress = split, dear, decode, workers, progress
        # position, key and value of what is text in the file, where our reader reads it
        self.read_as_numbers = [] if split.file_order else numbers_of_text(content.get('annotations') or [])
        self.images, self.annotations, self.categories = (
            [entry if isinstance(entry, dict) else {} for entry in content.get(name) or []]
            for name in ('images', 'annotations', 'categories')
        )

    def wrong(self, table: str) -> dict[int, list[str]]:
        """Return position -> keys whose values cannot be used, of the entries of a table."""
        needs_crowd, side = self.split.scored and self.split.file_order, is_side
        if self.split.file_order and self.split.masks_scored:  # pycocotools takes no 40.0, and ours makes it 40
            side = lambda value: is_side(value) and type(value) is int  # noqa: E731
        checks = {
            'images': dict(id=is_id, file_name=is_name, height=side, width=side),
            'categories': dict(id=is_id, name=lambda value: isinstance(value, str) and value.strip() != ''),
            'annotations': dict(
                id=is_id,
                image_id=is_id,
                category_id=is_id,
                area=lambda value: is_number(value) and value >= 0,
                iscrowd=lambda value: is_flag(value) or (value is None and not needs_crowd),
                ignore=lambda value: value is None or is_flag(value),
            ),
        }[table]
        found = {}
        for key, right in checks.items():
            for i, entry in enumerate(getattr(self, table)):
                if not right(entry.get(key)):
                    found.setdefault(i, []).append(key)
        return found

    @cached_property
    def wrong_images(self) -> dict[int, list[str]]:
        """Position -> keys that cannot be used; an image too large to be true has two of them."""
        found = self.wrong('images')
        for i, entry in enumerate(self.images):
            if i not in found and entry['height'] * entry['width'] >= _MOST_PIXELS:
                found[i] = ['height', 'width']
        return found

    @cached_property
    def sizes(self) -> np.ndarray:
        """(I, 2), height and width; 0 where the entry cannot be used."""
        wrong = self.wrong_images
        sizes = [(0, 0) if i in wrong else (e['height'], e['width']) for i, e in enumerate(self.images)]
        return np.array(sizes, np.int64).reshape(-1, 2)

    @cached_property
    def image_at(self) -> dict[Any, int]:
        """Id -> position of the image."""
        return _first([entry.get('id') for entry in self.images])

    @cached_property
    def category_at(self) -> dict[Any, int]:
        """Id -> position of the category."""
        return _first([entry.get('id') for entry in self.categories])

    def _positions(self, key: str, at: dict[Any, int]) -> np.ndarray:
        values = (entry.get(key) for entry in self.annotations)
        return np.array([at.get(value, -1) if is_id(value) else -1 for value in values], np.int64)

    @cached_property
    def image(self) -> np.ndarray:
        """(N,), position of each object's image, -1 where there is none."""
        return self._positions('image_id', self.image_at)

    @cached_property
    def category(self) -> np.ndarray:
        """(N,), position of each object's category, -1 where there is none."""
        return self._positions('category_id', self.category_at)

    @cached_property
    def size(self) -> np.ndarray:
        """(N, 2), height and width of each object's image, 0 where there is none."""
        return np.concatenate([self.sizes, [[0, 0]]])[self.image]

    @cached_property
    def box(self) -> np.ndarray:
        """(N, 4), x, y, width, height; NaN where they cannot be used."""
        nothing = (np.nan,) * 4
        boxes = []
        for entry in self.annotations:
            box = entry.get('bbox')
            right = type(box) is list and len(box) == 4 and all(map(is_number, box)) and min(box[2:]) >= 0
            boxes.append(box if right else nothing)
        return np.array(boxes, np.float64).reshape(-1, 4)

    @cached_property
    def crowd(self) -> np.ndarray:
        """(N,), whether it is a crowd, as the run takes it."""
        return np.array([bool(entry.get('iscrowd')) for entry in self.annotations], bool)

    @cached_property
    def names(self) -> dict[int, str]:
        """Position -> name of the categories that have one."""
        return {i: entry['name'] for i, entry in enumerate(self.categories) if isinstance(entry.get('name'), str)}

    @cached_property
    def classes(self) -> list[str]:
        """The names of the classes that are learned or scored."""
        return list(self.names.values() if self.split.classes is None else self.split.classes)

    @cached_property
    def usable(self) -> tuple[np.ndarray, dict[tuple[str, str], np.ndarray]]:
        """(N,), whether training learns from an object or a score counts it; and why which are left out.

        The filters are those of CocoDataset and LoadInstanceAnnotations in training, of COCOeval in evaluation. A
        reason is the key that is at fault and a text, and has the objects that it is the first reason for.
        """
        known = np.array([self.names.get(i) in self.classes for i in range(len(self.categories))] + [False])
        reasons = {
            ('image_id', 'are in no image of the file'): self.image < 0,
            ('image_id', 'are in images whose entries cannot be used'): self.size[:, 0] == 0,
            ('category_id', 'are of no category of the file'): self.category < 0,
            ('iscrowd', 'are crowds'): self.crowd,
        }
        if self.split.trained:
            x, y, w, h = self.box.T
            height, width = self.size.T
            area = [entry['area'] if is_number(entry.get('area')) else 0 for entry in self.annotations]
            with np.errstate(invalid='ignore'):
                inside = (np.minimum(x + w, width) > np.maximum(x, 0)) & (np.minimum(y + h, height) > np.maximum(y, 0))
                large = (w >= 1) & (h >= 1)
            small = self.size.min(1, initial=2**31) < self.split.min_size
            reasons |= {
                ('ignore', 'are to be ignored'): np.array([bool(e.get('ignore')) for e in self.annotations], bool),
                ('bbox', 'have a box of less than a pixel'): ~large,
                ('area', 'have an area of zero'): np.array(area, np.float64) <= 0,
                ('bbox', 'have a box outside of the image'): ~inside,
                ('image_id', f'are in images of less than {self.split.min_size} pixels'): small,
            }
            if self.split.masks:
                reasons['segmentation', 'have no mask'] = ~self.masks.usable
        usable, lost = known[self.category] | (self.category < 0), {}
        for reason, out in reasons.items():
            if (usable & out).any():
                lost[reason] = np.flatnonzero(usable & out)
            usable = usable & ~out
        return usable, lost

    @cached_property
    def masks(self) -> Masks:
        """The masks of all objects, read once."""
        return Masks([entry.get('segmentation', NOTHING) for entry in self.annotations], self.size, self.dear)

    @cached_property
    def opened(self) -> list[int]:
        """Positions of the images whose files are looked at: a part of them where there are many."""
        if not self.split.images:
            return []
        rows = [i for i in range(len(self.images)) if i not in self.wrong_images]
        if not self.dear and self.split.skip_empty:
            used = set(self.image.tolist())
            rows = [i for i in rows if i in used]
        if not self.dear and len(rows) > _OPENED:
            rows = [rows[i * len(rows) // _OPENED] for i in range(_OPENED)]
        return rows

    @cached_property
    def image_problems(self) -> list[tuple[int, Problem]]:
        """Position of an image and what is wrong with its file."""
        rows = self.opened
        looks = look_at_images(
            [self.images[i]['file_name'] for i in rows],
            [tuple(self.sizes[i].tolist()) for i in rows],
            self.split.folder,
            Decoder(self.split.color_type, self.split.backend),
            self.dear and self.decode,
            self.workers,
            self.progress,
        )
        return [(i, problem) for i, problems in zip(rows, looks) for problem in problems]
