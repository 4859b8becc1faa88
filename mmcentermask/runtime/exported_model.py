"""A model that tools/export.py wrote, from an image to its objects."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image

from ..errors import ImageError, InputError
from ..export.metadata import SEMANTIC
from ..image_inputs import describe, read_image
from ..structures import (
    Instances,
    encode_boundaries,
    encode_crop,
    find_boundaries,
    legacy_crops,
    list_segments,
    rle_to_json,
)
from ..structures.panoptic_map import classify_pixels, fuse
from .backends import open_exported
from .resizing import fitted_size, legacy_size

_LEAST_SIDE = 32  # pixels of a resized image; the finest level that RoIs read would be less than 4 x 4


class LoadedImage(NamedTuple):
    """An image for the graph; sizes are width and height in pixels."""

    pixels: np.ndarray  # uint8 (h, w, 3), BGR; resized, and padded where the graph takes images of one size
    size: tuple[int, int]  # before padding
    original_size: tuple[int, int]  # before resizing
    file_name: str | None  # as it was given


class ExportedModel:
    """A model that ``tools/export.py`` wrote, in onnxruntime or OpenVINO.

    Args:
        path (str): The file, ``.onnx`` or ``.xml``.
        backend (str, optional): See ``open_exported``.
        device (str): See ``open_exported``. Defaults to 'cpu'.
        threads (int, optional): Of the CPU. Defaults to the backend's choice.
        **options: ``score_thr``, ``iou_thr``, ``max_per_img`` in the place of the file's, where they are not None.

    Attributes:
        classes: Names.
        max_per_img: Most objects of an image.

    Raises:
        InputError: See ``open_exported``; or if thresholds of the file are fixed.
    """

    def __init__(
        self,
        path: str,
        backend: str | None = None,
        device: str = 'cpu',
        threads: int | None = None,
        **options: float | None,
    ) -> None:
        self._backend = open_exported(path, backend, device, threads)
        self.metadata = self._backend.metadata
        self._options = {}
        for name, value in options.items():
            if value is None:
                continue
            if name not in self._backend.options:
                raise InputError(
                    f'{name} of {path} is fixed in {type(self._backend).__name__}: leave it out, or run an .onnx file '
                    'with the backend onnxruntime.'
                )
            dtype = np.int64 if name == 'max_per_img' else np.float32
            self._options[name] = np.array([value], dtype)
        self.classes = tuple(self.metadata.classes)
        self.max_per_img = options.get('max_per_img') or self.metadata.max_per_img

    def load(self, source: Any, size: tuple[int, int] | None = None) -> LoadedImage:
        """Read an image, in any form that ``read_image`` takes, and resize it.

        Results are in its pixels or, of a reduced copy, in those of the image whose width and height are ``size``.

        Raises:
            ImageError: If it cannot be used.
            MissingFileError: If there is no such file.
        """
        image = read_image(source)
        height, width = image.shape[:2]
        resized = self._resize(image)
        input_size = resized.shape[1::-1]
        if min(input_size) < _LEAST_SIDE:
            raise ImageError(
                f'{describe(source)} of {width} x {height} pixels would be {input_size[0]} x {input_size[1]} at the '
                f"model's input, which takes {_LEAST_SIDE} or more: leave it out, or cut it into parts that are less "
                'long and narrow.'
            )
        if self.metadata.static_shape:
            bottom, right = np.subtract(self.metadata.static_shape, resized.shape[:2])
            color = [round(value) for value in self.metadata.mean]
            resized = cv2.copyMakeBorder(resized, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=color)
        return LoadedImage(resized, input_size, size or (width, height), source if isinstance(source, str) else None)

    def _resize(self, image: np.ndarray) -> np.ndarray:
        """Resize an image as the test pipeline of the model's config does."""
        height, width = image.shape[:2]
        scale = self.metadata.scale
        if self.metadata.resize == 'legacy':
            size = legacy_size(width, height, scale)
        else:
            size = fitted_size(width, height, scale) if self.metadata.keep_ratio else tuple(scale)
        if self.metadata.static_shape:
            fit = min(1, *np.divide(self.metadata.static_shape[::-1], size))
            size = tuple(round(side * fit) for side in size)
        if min(size) < 1:
            return image[:0, :0]
        if self.metadata.resize == 'legacy':
            return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
        return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)

    def run(self, images: list[LoadedImage]) -> list[Instances]:
        """Find the objects of each image; those of one shape that follow each other go through the graph together."""
        found = []
        for _, group in itertools.groupby(images, lambda image: image.pixels.shape):
            group = list(group)
            step = self.metadata.batch or len(group)
            for start in range(0, len(group), step):
                found += self._run_batch(group[start : start + step], step)
        return found

    def _run_batch(self, images: list[LoadedImage], number: int) -> list[Instances]:
        """Run images of one shape, repeated up to the ``number`` that the graph takes."""
        batch = np.stack([images[i % len(images)].pixels for i in range(number)]).transpose(0, 3, 1, 2)
        outputs = self._backend.run({'images': np.ascontiguousarray(batch), **self._options})
        of_image, semantic = outputs.pop('image_index'), outputs.pop(SEMANTIC, None)
        found = [
            self._finish({name: values[of_image == i] for name, values in outputs.items()}, image)
            for i, image in enumerate(images)
        ]
        for i, instances in enumerate(found if semantic is not None else ()):
            instances.segment_ids = self._fuse(instances, semantic[i], images[i])
        return found

    def _fuse(self, found: Instances, logits: np.ndarray, image: LoadedImage) -> np.ndarray:
        """Make the panoptic map of an image from its objects and the logits of its pixels."""
        divisor = self.metadata.divisor
        padded = tuple(-(-side // divisor) * divisor for side in image.pixels.shape[1::-1])
        stuff = classify_pixels(logits, padded, image.size, image.original_size)
        panoptic = fuse(found.labels, found.scores, found.rle, stuff, **self.metadata.fusion)
        return list_segments(panoptic, len(self.classes))[0]

    def _finish(self, outputs: dict[str, np.ndarray], image: LoadedImage) -> Instances:
        """Bring the graph's outputs for one image to its own pixels, and paste the masks."""
        width, height = image.original_size
        if self.metadata.static_shape:  # what lies in the padding is none of the image
            outputs['boxes'] = outputs['boxes'].clip(0, np.tile(image.size, 2))
            visible = (outputs['boxes'][:, 2:] > outputs['boxes'][:, :2]).all(axis=1)
            outputs = {name: values[visible] for name, values in outputs.items()}
        scale = np.divide(image.size, image.original_size).astype(np.float32)
        boxes = (outputs['boxes'] / np.tile(scale, 2)).astype(np.float32)
        maps, threshold = outputs['masks'], self.metadata.mask_thr
        if self.metadata.pasting == 'legacy':
            crops = legacy_crops(maps, boxes, height, width, threshold)
            codes = [encode_crop(crop, x, y, height, width) for crop, x, y in crops]
        else:
            codes = encode_boundaries(list(find_boundaries(maps, boxes, height, width, threshold)), height, width)
        if self.metadata.legacy_box_offset:
            boxes = boxes + np.array([0, 0, 1, 1], np.float32)
        return Instances(
            boxes,
            outputs['labels'],
            outputs['scores'],
            rle_to_json(codes),
            height,
            width,
            self.classes,
            outputs['mask_scores'] if self.metadata.mask_scoring else None,
            image.file_name,
        )
