"""Draws objects into an image: masks and outlines in the color of their class, boxes and labels."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as mask_api

from mmcentermask.structures import decode_crop
from mmcentermask.structures.panoptic_map import INSTANCE_OFFSET

from .style import class_colors, class_label, font, font_size, line_width, text_color

_ALIKE = 60  # of 255, the difference of colors that are hard to tell apart


def draw_instances(
    image: np.ndarray,
    instances: Any,
    classes: Sequence[str] | None = None,
    palette: Any = None,
    scale: float = 1.0,
    alpha: float = 0.45,
) -> np.ndarray:
    """Draw objects, the large ones below the small ones.

    A label stands above its box, or where there is room. One that would cover another label, the center of an object,
    or more than an eighth of the image is left out; the color still says the class. Masks that are RLEs are decoded one
    at a time.

    Args:
        image (np.ndarray): uint8 (H, W, 3), RGB; not changed.
        instances (InstanceData or dict): ``labels`` and any of ``bboxes`` (x1, y1, x2, y2 in pixels of the image),
            ``scores``, ``label_names`` and ``masks``: a list of RLEs, or what mmdet has for (n, H, W).
        classes (Sequence[str], optional): Names of the classes.
        palette (optional): See ``class_colors``.
        scale (float): Of the drawing, in which lines and labels keep their size. Defaults to 1.
        alpha (float): Opacity of masks, 0..1. Defaults to 0.45.

    Returns:
        np.ndarray: uint8 (scale * H, scale * W, 3), RGB.

    >>> draw_instances(image, sample.pred_instances, ('cat', 'dog'))  # doctest: +SKIP
    """
    canvas = _scaled(image, scale)
    labels = [int(label) for label in instances['labels']]
    if not labels:
        return canvas
    height, width = canvas.shape[:2]
    colors = class_colors(max(labels) + 1, palette)
    masks = _as_list(instances.get('masks'))
    boxes = _boxes(instances, masks) * np.tile([width / image.shape[1], height / image.shape[0]], 2)
    order = np.argsort(-(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), kind='stable').tolist()
    outlines = {}
    for i in order if masks is not None else ():
        outlines[i] = _fill(canvas, masks[i], image.shape, colors[labels[i]], alpha)
    thickness = line_width(height, width)
    boxes[:, 0::2] = boxes[:, 0::2].clip(0, width)
    boxes[:, 1::2] = boxes[:, 1::2].clip(0, height)
    for i in order:
        color = colors[labels[i]]
        (x1, y1), (x2, y2) = np.floor(boxes[i, :2]).astype(int), np.ceil(boxes[i, 2:]).astype(int) - 1
        # beside an outline, a box is only a hint
        cv2.rectangle(canvas, (x1, y1), (x2, y2), color, max(1, thickness // 2) if i in outlines else thickness)
    for i in order:
        contours, color = outlines.get(i, ([], colors[labels[i]]))
        cv2.polylines(canvas, contours, True, color, thickness, cv2.LINE_AA)
    names = instances.get('label_names')
    texts = [class_label(label, classes) if names is None else class_label(i, names) for i, label in enumerate(labels)]
    if 'scores' in instances:
        texts = [f'{text} {float(score):.2f}' for text, score in zip(texts, instances['scores'], strict=True)]
    return _write(canvas, texts, boxes, [colors[label] for label in labels])


def draw_panoptic(
    image: np.ndarray, segments: np.ndarray, classes: Sequence[str], palette: Any = None, alpha: float = 0.45
) -> np.ndarray:
    """Draw a panoptic map: each segment in the color of its class, with its outline and a label.

    Args:
        image (np.ndarray): uint8 (H, W, 3), RGB; not changed.
        segments (np.ndarray): (H, W), see PanopticCenterMask; void, also as 0, is not drawn.
        classes (Sequence[str]): Names of the classes, of things and of stuff.
        palette (optional): See ``class_colors``.
        alpha (float): Opacity, 0..1. Defaults to 0.45.

    Returns:
        np.ndarray: uint8 (H, W, 3), RGB.
    """
    canvas = _scaled(image, 1.0)
    colors = class_colors(len(classes), palette)
    numbers = [number for number in np.unique(segments).tolist() if number and number % INSTANCE_OFFSET < len(classes)]
    boxes, outlines = [], []
    for number in numbers:
        mask = segments == number
        outlines.append(_fill(canvas, mask, image.shape, colors[number % INSTANCE_OFFSET], alpha))
        crop, x, y = _crop(mask)
        # its label stands just above where it is widest
        depth = cv2.distanceTransform(np.pad(crop, 1).astype(np.uint8), cv2.DIST_L2, 3)
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        boxes.append([x + column - 4, y + row - 4, x + column + 2, y + row + 2])
    thickness = line_width(*canvas.shape[:2])
    for contours, color in outlines:
        cv2.polylines(canvas, contours, True, color, thickness, cv2.LINE_AA)
    labels = [number % INSTANCE_OFFSET for number in numbers]
    texts, boxes = [class_label(label, classes) for label in labels], np.array(boxes, np.float64).reshape(-1, 4)
    return _write(canvas, texts, boxes, [colors[label] for label in labels])


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return np.ascontiguousarray(image).copy()
    size = tuple(max(1, round(side * scale)) for side in image.shape[1::-1])
    return cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)


def _as_list(masks: Any) -> Sequence[Any] | None:
    """Return masks as a sequence of RLEs or of arrays (H, W)."""
    if masks is None or isinstance(masks, list):
        return masks
    if hasattr(masks, 'cpu'):
        return masks.cpu().numpy()
    return masks.to_ndarray() if hasattr(masks, 'to_ndarray') else np.asarray(masks)


def _boxes(instances: Any, masks: Sequence[Any] | None) -> np.ndarray:
    """Return the boxes, (n, 4); those of the masks where a model finds none, or all are 0."""
    boxes = instances.get('bboxes')
    if boxes is not None:
        boxes = getattr(boxes, 'tensor', boxes)
        boxes = np.asarray(boxes.cpu().double().numpy() if hasattr(boxes, 'cpu') else boxes, np.float64)
    if boxes is None or (masks is not None and not boxes.any()):
        corners = [(x, y, x + crop.shape[1], y + crop.shape[0]) for crop, x, y in map(_crop, masks)]
        boxes = np.array(corners, np.float64)
    return np.nan_to_num(boxes, posinf=1e6, neginf=-1e6)


def _crop(mask: dict | np.ndarray) -> tuple[np.ndarray, int, int]:
    """Return the part of a mask that is not empty, bool, and its place x, y."""
    if isinstance(mask, dict):
        return decode_crop(mask)
    rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    if not len(rows):
        return np.zeros((0, 0), bool), 0, 0
    y, x = rows[0], columns[0]
    return mask[y : rows[-1] + 1, x : columns[-1] + 1].astype(bool), x, y


def _fill(
    canvas: np.ndarray, mask: dict | np.ndarray, shape: tuple[int, ...], color: tuple, alpha: float
) -> tuple[list[np.ndarray], tuple]:
    """Lay a color over the pixels of a mask; return its outlines, (K, 1, 2) each, in pixels of the canvas, and theirs.

    The outline of an object that itself has about the color of its class is black or white, or it would not be seen.
    """
    if isinstance(mask, dict) and not mask_api.area(mask):
        return [], color
    crop, x, y = _crop(mask)
    if not crop.size:
        return [], color
    scale_x, scale_y = canvas.shape[1] / shape[1], canvas.shape[0] / shape[0]
    left, top = int(x * scale_x), int(y * scale_y)
    right, bottom = round((x + crop.shape[1]) * scale_x), round((y + crop.shape[0]) * scale_y)
    size = max(right - left, 1), max(bottom - top, 1)
    if size != crop.shape[::-1]:
        crop = cv2.resize(crop.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR) > 127
    part = canvas[top : top + size[1], left : left + size[0]]
    crop = crop[: part.shape[0], : part.shape[1]]
    pixels = part[crop]
    edge = text_color(color) if pixels.size and np.abs(pixels.mean(0) - color).max() < _ALIKE else color
    part[crop] = np.rint(pixels * (1 - alpha) + np.array(color) * alpha).astype(np.uint8)
    contours = cv2.findContours(crop.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top))[0]
    return list(contours), edge


def _write(canvas: np.ndarray, texts: list[str], boxes: np.ndarray, colors: list[tuple]) -> np.ndarray:
    """Write labels on grounds of their colors: the first ones, of the best scores, get the best places."""
    height, width = canvas.shape[:2]
    size = font_size(height, width)
    pad = max(1, size // 8)
    layer = Image.fromarray(canvas)
    draw = ImageDraw.Draw(layer)
    # what no label may cover: other labels, and the centers of the objects
    taken = np.tile((boxes[:, :2] + boxes[:, 2:]) / 2, 2) + [-1, -1, 1, 1]
    for text, (x1, y1, x2, y2), color in zip(texts, boxes, colors, strict=True):
        face = font(text, size)
        while len(text) > 1 and face.getlength(text) + 2 * pad > width:
            text = text.removesuffix('…')[:-1] + '…'
        wide, high = round(face.getlength(text)) + 2 * pad, size + 2 * pad + size // 4
        if wide * high * 8 > width * height:
            continue
        # above the box, below it, inside of it; from its left edge or up to its right one
        for x, y in ((x1, y1 - high), (x2 - wide, y1 - high), (x1, y2), (x2 - wide, y2), (x1, y1), (x1, y2 - high)):
            x, y = int(min(max(x, 0), width - wide)), int(y)
            ground = np.array([x, y, x + wide, y + high])
            covers = (np.minimum(ground[2:], taken[:, 2:]) > np.maximum(ground[:2], taken[:, :2])).all(axis=1).any()
            if 0 <= y <= height - high and not covers:
                draw.rectangle((x, y, x + wide - 1, y + high - 1), fill=color)
                draw.text((x + pad, y + high / 2), text, fill=text_color(color), font=face, anchor='lm')
                taken = np.concatenate([taken, [ground]])
                break
    return np.asarray(layer).copy()
