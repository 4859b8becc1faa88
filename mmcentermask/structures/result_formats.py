"""The methods of ``Instances`` that return its objects in the formats of other tools."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from pycocotools import mask as mask_api

from ..errors import InputError
from .rle import decode_crop, rle_to_json

if TYPE_CHECKING:
    from .instances import Instances

__all__ = ['to_coco', 'to_labelme', 'to_supervision']


def to_coco(found: Instances, image_id: int = 1, category_ids: Sequence[int] | None = None) -> dict[str, list[dict]]:
    """Return objects as COCO has annotations, for tools that import them.

    Args:
        image_id (int): Its number. Defaults to 1.
        category_ids (Sequence[int], optional): Number of each class; to evaluate against an annotation file, those of
            the file. Defaults to 1, 2, ...

    Returns:
        dict: ``images``, ``categories`` and ``annotations``: bbox [x, y, width, height], segmentation (RLE), score
        and, where there is one, mask_score.
    """
    numbers = range(1, len(found.classes) + 1) if category_ids is None else category_ids
    x1, y1, x2, y2 = found.boxes.T.astype(float)
    boxes, annotations = np.stack([x1, y1, x2 - x1, y2 - y1], 1).tolist(), []
    for i, code in enumerate(rle_to_json(found.rle)):
        about = dict(id=i + 1, image_id=image_id, category_id=numbers[found.labels[i]], bbox=boxes[i])
        scores = dict(score=float(found.scores[i]))
        if found.mask_scores is not None:
            scores['mask_score'] = float(found.mask_scores[i])
        annotations.append(dict(**about, segmentation=code, area=int(mask_api.area(code)), iscrowd=0, **scores))
    return dict(
        images=[dict(id=image_id, file_name=found.file_name, height=found.height, width=found.width)],
        categories=[dict(id=number, name=name) for number, name in zip(numbers, found.classes)],
        annotations=annotations,
    )


def to_labelme(found: Instances, tolerance: float = 1.0) -> dict[str, Any]:
    """Return objects as a file of labelme (5.4 or newer) has them.

    An object is a polygon, several of one ``group_id`` where it has several parts, or, where it has holes, which
    labelme's polygons cannot have, a mask. The score is in the description.

    Args:
        tolerance (float): How far polygons may be from the exact outline, in pixels. Defaults to 1, so that a
            person can edit them.

    Returns:
        dict: To be written as JSON into the folder of the image.
    """
    shapes = []
    for i, (parts, code) in enumerate(zip(found.polygons(tolerance), found.rle)):
        common = dict(label=found.names[i], description=f'{found.scores[i]:.3f}', flags={}, group_id=None, mask=None)
        if all(len(part) == 1 for part in parts):
            common['group_id'] = i if len(parts) > 1 else None
            shapes += [dict(common, shape_type='polygon', points=part[0].tolist()) for part in parts]
        else:
            crop, x, y = decode_crop(code)
            height, width = crop.shape
            corners = [[int(x), int(y)], [int(x) + width - 1, int(y) + height - 1]]
            png = cv2.imencode('.png', crop.astype(np.uint8))[1].tobytes()
            shapes.append(dict(common, shape_type='mask', points=corners, mask=base64.b64encode(png).decode()))
    return dict(
        version='5.4.0',
        flags={},
        shapes=shapes,
        imagePath=Path(found.file_name or '').name,
        imageData=None,
        imageHeight=found.height,
        imageWidth=found.width,
    )


def to_supervision(found: Instances) -> Any:
    """Return objects as ``supervision.Detections``.

    Masks are its CompactMask, made of the RLEs, or, in a supervision older than 0.30, an array (K, H, W).

    Returns:
        supervision.Detections: With ``class_name`` and, where there are any, ``mask_score`` in ``data``.

    Raises:
        InputError: If supervision is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise InputError(
            'to_supervision() needs the package supervision, which is not installed: pip install supervision.'
        ) from error
    compact = getattr(supervision, 'CompactMask', None)
    if hasattr(compact, 'from_coco_rle'):
        # it keeps what is inside of a box only, whose last pixel counts, and masks may reach beyond those of the model
        x, y, width, height = mask_api.toBbox(found.rle).reshape(-1, 4).T if found.rle else np.zeros((4, 0))
        extents = np.stack([x, y, np.maximum(x + width - 1, x), np.maximum(y + height - 1, y)], axis=1)
        masks = compact.from_coco_rle(found.rle, extents, (found.height, found.width))
    else:
        masks = found.masks()
    data = dict(class_name=np.array(found.names, dtype=str))
    if found.mask_scores is not None:
        data['mask_score'] = found.mask_scores
    return supervision.Detections(
        xyxy=found.boxes, mask=masks, confidence=found.scores, class_id=found.labels.astype(int), data=data
    )
