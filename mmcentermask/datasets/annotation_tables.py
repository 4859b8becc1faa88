"""A COCO file as columns, for the rules on it: what stands in the entries, and what a run makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import mmcv
import numpy as np

from .coco import numbers_of_text
from .masks import Masks
from .values import is_flag, is_id, is_name, is_number, is_side

__all__ = ['TABLES', 'CocoSplit', 'CocoTables', 'Finding']

TABLES = dict(image='images', category='categories', annotation='annotations')  # of an entry -> its list in the file
_MOST_PIXELS = 2**31  # RLE counts in 32 bits
_OPENED = 10000  # images that a cheap check opens, evenly spread: all of a validation set, seconds of a million


@dataclass
class CocoSplit:
    """A COCO dataset of a run, and what the run does with it."""

    name: str  # what to call it: the split or splits that use it
    ann_file: str
    folder: str = ''  # of its images; '' where none are opened
    classes: Sequence[str] | None = None  # the config's class names; None takes all categories
    num_classes: int | None = None  # of the model; None is not checked
    trained: bool = True  # whether it is trained on
    scored: bool = False  # whether predictions are compared with it
    masks: bool = True  # whether masks are read at all
    masks_scored: bool = False  # whether predicted masks are compared with its own
    masks_present: bool = False  # whether the pipeline fails on an object without a mask
    file_order: bool = True  # whether labels are numbered in the order of the file, as CocoDataset and CocoMetric do
    classwise: bool = False  # whether the AP of each class is printed
    min_size: int = 0  # training leaves out images whose shorter side is less
    skip_empty: bool = False  # whether training leaves out images without objects
    images: bool = True  # whether image files are looked at
    color_type: str = 'color'  # the pipeline's, of mmcv.imfrombytes
    backend: str = 'cv2'  # the pipeline's, of mmcv.imfrombytes
    tolerant: bool = False  # whether training goes on without images that cannot be decoded
    segments: str = ''  # of panoptic annotations the folder of the PNGs; '' where they are of instances
    things: Sequence[str] = ()  # names of the classes that are things, of panoptic annotations
    place: str = 'train_dataloader.dataset'  # in the config

    def read_image(self, path: str) -> np.ndarray | None:
        """Decode an image file as LoadImageFromFile does: uint8 (H, W, 3) in BGR as a rule; None if that fails."""
        try:
            return mmcv.imfrombytes(Path(path).read_bytes(), flag=self.color_type, backend=self.backend)
        except Exception:  # each decoder has its own ways to fail
            return None

    @property
    def masks_needed(self) -> bool:
        """Whether the run fails on an object without a mask."""
        return self.masks_present or self.masks_scored

    @property
    def scored_by_mmdet(self) -> bool:
        """Whether COCOeval takes the values as they stand in the file."""
        return self.scored and self.file_order

    @property
    def annotated(self) -> bool:
        """Whether there must be annotations."""
        return self.trained or self.scored


class Finding(NamedTuple):
    """Where a rule is broken; numbers are positions in the file's lists."""

    rule: str
    detail: str = ''
    image: int | None = None
    annotation: int | None = None
    category: int | None = None


class CocoTables:
    """The entries of a COCO file as columns. I images, N objects, C categories.

    Args:
        content (dict): Of the file.
        split (CocoSplit): What the run does with it.
        dear (bool): Whether to look at every RLE, every image and the geometry of polygons. Defaults to True.

    Attributes:
        lists: Place, a key of ``TABLES`` -> the entries of the file, ``{}`` for what is no entry.
        read_as_numbers: Position of an object, key and value of what is text in the file, where our reader reads it.
    """

    def __init__(self, content: dict[str, Any], split: CocoSplit, dear: bool = True) -> None:
        self.split, self.dear = split, dear
        self.read_as_numbers = [] if split.file_order else numbers_of_text(content.get('annotations') or [])
        self.lists = {
            place: [entry if isinstance(entry, dict) else {} for entry in content.get(name) or []]
            for place, name in TABLES.items()
        }
        self.images, self.categories, self.annotations = self.lists.values()

    def finding(self, rule: str, row: int, detail: str = '', place: str = 'annotation') -> Finding:
        """Return a finding at an entry; of an object, with its image."""
        where = {place: int(row)}
        if place == 'annotation' and self.image[row] >= 0:
            where['image'] = int(self.image[row])
        return Finding(rule, detail, **where)

    @cached_property
    def wrong(self) -> dict[str, dict[int, list[str]]]:
        """Place -> position of an entry -> keys whose values cannot be used, where there are such."""

        def is_size(value: Any) -> bool:
            if self.split.file_order and self.split.masks_scored and type(value) is not int:
                return False  # pycocotools takes no 40.0, and our reader makes it 40
            return is_side(value)

        checks = dict(
            image=dict(id=is_id, file_name=is_name, height=is_size, width=is_size),
            category=dict(id=is_id, name=lambda value: isinstance(value, str) and value.strip() != ''),
            annotation=dict(
                id=is_id,
                image_id=is_id,
                category_id=is_id,
                area=lambda value: is_number(value) and value >= 0,
                iscrowd=lambda value: is_flag(value) or (value is None and not self.split.scored_by_mmdet),
                ignore=lambda value: value is None or is_flag(value),
            ),
        )
        found = {place: {} for place in checks}
        for place, rights in checks.items():
            for i, entry in enumerate(self.lists[place]):
                keys = [key for key, right in rights.items() if not right(entry.get(key))]
                if place == 'image' and not keys and entry['height'] * entry['width'] >= _MOST_PIXELS:
                    keys = ['height', 'width']
                if keys:
                    found[place][i] = keys
        return found

    @cached_property
    def sizes(self) -> np.ndarray:
        """(I, 2), height and width; 0 where the entry cannot be used."""
        wrong = self.wrong['image']
        sizes = [(0, 0) if i in wrong else (e['height'], e['width']) for i, e in enumerate(self.images)]
        return np.array(sizes, np.int64).reshape(-1, 2)

    @cached_property
    def at(self) -> dict[str, dict[Any, int]]:
        """``'image'`` and ``'category'`` -> id -> position of the first entry that has it."""
        found = dict(image={}, category={})
        for place, first in found.items():
            for i, entry in enumerate(self.lists[place]):
                if is_id(entry.get('id')):
                    first.setdefault(entry['id'], i)
        return found

    def _positions(self, place: str) -> np.ndarray:
        at, values = self.at[place], [entry.get(f'{place}_id') for entry in self.annotations]
        return np.array([at.get(value, -1) if is_id(value) else -1 for value in values], np.int64)

    @cached_property
    def image(self) -> np.ndarray:
        """(N,), position of each object's image, -1 where there is none."""
        return self._positions('image')

    @cached_property
    def category(self) -> np.ndarray:
        """(N,), position of each object's category, -1 where there is none."""
        return self._positions('category')

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
        return Masks(self.annotations, self.size, self.dear)

    @cached_property
    def opened(self) -> list[int]:
        """Positions of the images whose files are looked at: a part of them where there are many."""
        if not self.split.images:
            return []
        rows = [i for i in range(len(self.images)) if i not in self.wrong['image']]
        if not self.dear and self.split.skip_empty:
            used = set(self.image.tolist())
            rows = [i for i in rows if i in used]
        if not self.dear and len(rows) > _OPENED:
            rows = [rows[i * len(rows) // _OPENED] for i in range(_OPENED)]
        return rows
