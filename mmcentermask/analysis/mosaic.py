"""Large pictures whose objects are known: mosaics of the images of a COCO file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as mask_api
from pycocotools.coco import COCO

from mmcentermask.errors import AnnotationError
from mmcentermask.image_inputs import read_image
from mmcentermask.structures import encode_crop

__all__ = ['Matches', 'make_mosaic', 'match_masks']

_GROUND = 114  # grey, where no image lies


class Matches(NamedTuple):
    """How found objects fit those that are there, by masks, at an IoU of 0.5."""

    recall: float  # share of the objects that were found
    duplicates: int  # that were found before
    others: int  # that fit no object


def make_mosaic(
    coco: COCO, folder: str | Path, side: int, objects: int, cell: int, seed: int = 0
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Lay images of a COCO file onto random cells of a grey square, until it has a number of objects.

    ``side`` and ``cell`` are in pixels; images that are larger than a cell are left out.

    Returns:
        tuple: uint8 (side, side, 3), BGR, and ``objects`` or a few more RLEs.

    Raises:
        AnnotationError: If the square has too few cells, or no image fits a cell.
    """
    rng, codes = np.random.default_rng(seed), []
    picture = np.full((side, side, 3), _GROUND, np.uint8)
    images = [image for image in coco.imgs.values() if coco.imgToAnns[image['id']]]
    fitting = [image for image in images if max(image['width'], image['height']) <= cell]
    cells = [(x, y) for y in range(0, side - cell + 1, cell) for x in range(0, side - cell + 1, cell)]
    for place in rng.permutation(len(cells)) if fitting else []:
        if len(codes) >= objects:
            break
        image = fitting[rng.integers(len(fitting))]
        x, y = cells[place]
        picture[y : y + image['height'], x : x + image['width']] = read_image(str(Path(folder, image['file_name'])))
        for annotation in coco.imgToAnns[image['id']]:
            codes.append(encode_crop(coco.annToMask(annotation).astype(bool), x, y, side, side))
    if len(codes) < objects:
        raise AnnotationError(f'{side} x {side} pixels have room for {len(codes)} objects: give less, or another size.')
    return picture, codes


def match_masks(found: list[dict[str, Any]], truth: list[dict[str, Any]]) -> Matches:
    """Match the found RLEs of an image, the best first, with those that are there.

    >>> mask = dict(size=[2, 2], counts=b'04')
    >>> match_masks([mask, mask], [mask])
    Matches(recall=1.0, duplicates=1, others=0)
    """
    overlaps = mask_api.iou(found, truth, [0] * len(truth)) if found else np.zeros((0, len(truth)))
    matched, duplicates, others = set(), 0, 0
    for row in overlaps:
        free = [i for i in np.flatnonzero(row >= 0.5) if i not in matched]
        if free:
            matched.add(max(free, key=lambda i: row[i]))
        elif (row >= 0.5).any():
            duplicates += 1
        else:
            others += 1
    return Matches(len(matched) / len(truth), duplicates, others)
