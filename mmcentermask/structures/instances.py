"""The objects that a model found in an image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as mask_api

from ..atomic_write import atomic_write
from ..errors import ImageError, InputError, did_you_mean
from ..image_inputs import read_image
from . import result_formats
from .panoptic_map import encode_segment_ids, list_segments
from .polygons import trace_polygons
from .rle import decode_crop, encode_crop, rle_to_json

__all__ = ['Instances']

_FORMATS = ('prediction', 'coco', 'labelme', 'panoptic')


@dataclass
class Instances:
    """The objects of one image, the best first. Masks are RLEs, and become images where they are asked for only.

    ``len(found)`` counts the objects; ``found[2]``, ``found[:10]`` and ``found[found.scores > 0.5]`` choose some.

    Attributes:
        boxes: x1, y1, x2, y2 in pixels of the image, float32 (K, 4).
        labels: Index of each object's class, int64 (K,).
        scores: Box scores, float32 (K,).
        rle: K of COCO's compressed RLEs, dicts of ``size`` [H, W] and ``counts``, a str.
        height: H, of the image.
        width: W, of the image.
        classes: Names of all classes.
        mask_scores: Box scores times predicted mask IoU, float32 (K,); None where the model predicts none.
        file_name: The image, as it was given; None where it has no name.
        segment_ids: Of a panoptic model whose each pixel of the image is, int32 (H, W): a label and, for things, 1000
            times the number of the object more; 0 is void. None of another model, and of tiles.

    >>> found = Segmenter('model.onnx').predict('street.jpg')  # doctest: +SKIP
    >>> found.filter(0.5, classes=['car']).save('cars.png')  # doctest: +SKIP
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    rle: list[dict[str, Any]]
    height: int
    width: int
    classes: tuple[str, ...]
    mask_scores: np.ndarray | None = None
    file_name: str | None = None
    segment_ids: np.ndarray | None = None

    @classmethod
    def from_dict(cls, prediction: dict[str, Any], classes: Sequence[str]) -> Instances:
        """Make them of a prediction of ``CenterMaskInferencer``, or of its JSON file.

        Args:
            prediction (dict): As ``to_dict`` returns it.
            classes (Sequence[str]): Names of all classes.
        """
        mask_scores = prediction.get('mask_scores')
        return cls(
            np.array(prediction['bboxes'], np.float32).reshape(-1, 4),
            np.array(prediction['labels'], np.int64),
            np.array(prediction['scores'], np.float32),
            prediction['masks'],
            prediction['height'],
            prediction['width'],
            tuple(classes),
            None if mask_scores is None else np.array(mask_scores, np.float32),
            prediction['file_name'],
            prediction.get('panoptic_seg'),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, as ``CenterMaskInferencer`` writes them to its JSON files, without a panoptic map."""
        result = dict(
            bboxes=self.boxes.tolist(),
            labels=self.labels.tolist(),
            class_names=self.names,
            scores=self.scores.tolist(),
            masks=rle_to_json(self.rle),
            file_name=self.file_name,
            height=self.height,
            width=self.width,
        )
        return result if self.mask_scores is None else {**result, 'mask_scores': self.mask_scores.tolist()}

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int | slice | Sequence | np.ndarray) -> Instances:
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return replace(
            self,
            boxes=self.boxes[chosen],
            labels=self.labels[chosen],
            scores=self.scores[chosen],
            rle=[self.rle[i] for i in chosen],
            mask_scores=None if self.mask_scores is None else self.mask_scores[chosen],
        )

    @property
    def names(self) -> list[str]:
        """The class of each object."""
        return [self.classes[i] if i < len(self.classes) else f'class {i}' for i in self.labels]

    @property
    def segments_info(self) -> list[dict[str, Any]]:
        """``id``, ``label``, ``class_name`` and ``area`` in pixels of each segment of a panoptic model."""
        if self.segment_ids is None:
            return []
        segments = list_segments(self.segment_ids, len(self.classes))[1]
        return [dict(segment, class_name=self.classes[segment['label']]) for segment in segments]

    def filter(self, threshold: float = 0.0, classes: Iterable[str | int] | None = None) -> Instances:
        """Choose objects.

        Args:
            threshold (float): Least score. Defaults to 0.
            classes (iterable, optional): Names or indices of the classes to keep. Defaults to all.

        Raises:
            InputError: If the threshold is not from 0 to 1, or there is no such class.
        """
        keep = self.scores >= check_threshold(threshold)
        if classes is not None:
            keep &= np.isin(self.labels, class_indices(classes, self.classes))
        return self[keep]

    def resized(self, height: int, width: int) -> Instances:
        """Bring the objects to a resized copy of the image, for an overview of a large one.

        Args:
            height (int): Of the copy.
            width (int): Of the copy.
        """
        x_scale, y_scale = width / self.width, height / self.height
        codes = []
        for code in self.rle:
            crop, x, y = decode_crop(code)
            x1, y1 = min(int(x * x_scale), width - 1), min(int(y * y_scale), height - 1)
            w, h = (max(1, round(side * s)) for side, s in zip(crop.shape[::-1], (x_scale, y_scale)))
            size = min(w, width - x1), min(h, height - y1)
            crop = cv2.resize(crop.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) if crop.size else crop
            codes.append(encode_crop(crop.astype(bool), x1, y1, height, width))
        boxes = self.boxes * np.array([x_scale, y_scale] * 2, np.float32)
        return replace(self, boxes=boxes, rle=rle_to_json(codes), height=height, width=width, segment_ids=None)

    def masks(self) -> np.ndarray:
        """Return the masks as images, bool (K, H, W)."""
        if not self.rle:
            return np.zeros((0, self.height, self.width), bool)
        return mask_api.decode(self.rle).astype(bool).transpose(2, 0, 1)

    def polygons(self, tolerance: float = 0.0) -> list[list[list[np.ndarray]]]:
        """Return the outlines of the masks, see ``trace_polygons``.

        Args:
            tolerance (float): About how far a simplified ring may be from the exact one, in pixels. Defaults to 0,
                exact.

        Returns:
            list: Of each object its parts, of each part its rings, the outer one first, then the holes: (p, 2), int32,
            x and y in pixels. The pixel x, y is x..x + 1, y..y + 1.
        """
        objects = []
        for code in self.rle:
            crop, x, y = decode_crop(code)
            parts = [[ring + np.array([x, y], np.int32) for ring in part] for part in trace_polygons(crop)]
            if tolerance:
                parts = [[cv2.approxPolyDP(ring, tolerance, True)[:, 0] for ring in part] for part in parts]
                parts = [[ring for ring in part if len(ring) > 2] for part in parts if len(part[0]) > 2]
            objects.append(parts)
        return objects

    to_coco = result_formats.to_coco
    to_labelme = result_formats.to_labelme
    to_supervision = result_formats.to_supervision

    def draw(
        self, image: Any = None, alpha: float = 0.45, label_names: list[str] | None = None, scale: float = 1.0
    ) -> np.ndarray:
        """Draw the objects, or the segments of a panoptic model, a class in the same color in every image.

        Args:
            image: What was predicted on, in any form that ``read_image`` takes. Defaults to the file.
            alpha (float): Opacity of masks, 0..1. Defaults to 0.45.
            label_names (list[str], optional): What to write at each object. Defaults to the names of the classes.
            scale (float): Of the drawing, in which lines and labels keep their size. Defaults to 1.

        Returns:
            np.ndarray: uint8 (scale * H, scale * W, 3), BGR as OpenCV's.

        Raises:
            InputError: If there is no such image, or it has another size.
        """
        from ..visualization.drawing import draw_instances, draw_panoptic  # matplotlib, for its fonts, takes a while

        if image is None and self.file_name is None:
            raise InputError('these objects are of no file: give the image to draw them in, draw(image).')
        image = read_image(self.file_name if image is None else image)
        if image.shape[:2] != (self.height, self.width):
            raise ImageError(
                f'the image to draw in has {image.shape[1]} x {image.shape[0]} pixels, that of the objects '
                f'{self.width} x {self.height}: give the same one.'
            )
        if self.segment_ids is not None:
            drawn = draw_panoptic(image[..., ::-1], self.segment_ids, self.classes, alpha=alpha)
            return np.ascontiguousarray(cv2.resize(drawn, None, fx=scale, fy=scale)[..., ::-1])
        found = dict(bboxes=self.boxes, labels=self.labels, scores=self.scores, masks=self.rle, label_names=label_names)
        drawn = draw_instances(image[..., ::-1], found, self.classes, scale=scale, alpha=alpha)
        return np.ascontiguousarray(drawn[..., ::-1])

    def save(self, path: str | Path, image: Any = None, form: str = 'prediction') -> None:
        """Write the objects to a file: as numbers to ``NAME.json``, else as a drawing.

        Args:
            path (str or Path): The file; its ending says which, ``.json`` or that of an image.
            image (optional): To draw in, see ``draw``.
            form (str): Of a JSON file: ``'prediction'`` (``to_dict``), ``'coco'`` or ``'labelme'``; of a PNG file
                ``'panoptic'``: the ids of the segments in COCO's colors. Defaults to ``'prediction'``.

        Raises:
            OutputError: If it cannot be written.
            InputError: If there is no such form, no such image format, or no panoptic map.
        """
        if form not in _FORMATS:
            raise InputError(f'there is no form {form!r}: give one of {", ".join(_FORMATS)}.')
        suffix = Path(path).suffix.lower()
        if form == 'panoptic':
            if suffix != '.png' or self.segment_ids is None:
                raise InputError(f'{path} cannot hold segments: give a .png file, and what a panoptic model found.')
            encoded = encode_segment_ids(self.segment_ids)
        elif suffix == '.json':
            content = {'prediction': self.to_dict, 'coco': self.to_coco, 'labelme': self.to_labelme}[form]()
            encoded = json.dumps(content).encode()
        elif suffix and cv2.haveImageWriter(suffix):
            encoded = cv2.imencode(suffix, self.draw(image))[1].tobytes()
        else:
            raise InputError(f'{path} has no ending of a file that can be written: give .json, .png or .jpg.')
        with atomic_write(path) as file:
            file.write(encoded)


def check_threshold(threshold: float) -> float:
    """Return a threshold; raise InputError if it is not from 0 to 1."""
    if not 0 <= threshold <= 1:
        raise InputError(f'the threshold is {threshold}: give a score from 0 to 1.')
    return threshold


def class_indices(chosen: Iterable[str | int], classes: Sequence[str]) -> list[int]:
    """Return the indices of classes that are given by name or index; raise InputError if there is no such class."""
    indices = []
    for name in [chosen] if isinstance(chosen, str) else chosen:
        if name in classes:
            indices.append(classes.index(name))
        elif isinstance(name, (int, np.integer)) and 0 <= name < len(classes):
            indices.append(int(name))
        else:
            hint = did_you_mean(str(name), classes) or f'the model has {", ".join(classes)}.'
            raise InputError(f'there is no class {name!r}: {hint}')
    return indices
