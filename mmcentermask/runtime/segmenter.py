"""Finds and segments the objects of images in three lines, with or without torch."""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import ImageError, InputError, MissingFileError
from ..image_inputs import is_single, list_images
from ..structures import Instances
from ..structures.instances import check_threshold, class_indices
from .exported_model import ExportedModel
from .large_image import predict_large


class Segmenter:
    """Finds and segments the objects of images.

    Args:
        model (str or Path): An exported file (``.onnx`` or ``.xml``), which needs no torch; the name of a model; or a
            config file.
        weights (str or Path, optional): Checkpoint of a name or config. Defaults to the published one of a name.
        device (str, optional): Defaults to the GPU where torch has one, else the CPU; to the CPU for an exported file.
        backend (str, optional): Of an exported file: 'onnxruntime' or 'openvino'. Defaults to what is installed.
        threads (int, optional): Of the CPU. Defaults to all cores.
        score_thr (float, optional): Least class probability that the model makes an object of. Defaults to the model's
            own.
        iou_thr (float, optional): Overlap above which the lesser of two boxes is dropped. Defaults to the model's own.
        max_per_img (int, optional): Most objects of an image; a config's model then has 10 candidates for each at every
            level at least (``nms_pre``), which are fixed in an exported file. Defaults to the model's own.
        cfg_options (dict, optional): Other parts of a config to override. Defaults to None.

    Attributes:
        classes: Names of all classes.

    Raises:
        MissingFileError: If the model or its weights are not there.
        InputError: If they cannot be used, an option is out of range, or a package or device is missing.

    >>> segmenter = Segmenter('centermask_v39-ese_fpn_ms-3x_coco')  # doctest: +SKIP
    >>> found = segmenter.predict('street.jpg')  # doctest: +SKIP
    >>> found.save('street_drawn.jpg')  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path,
        weights: str | Path | None = None,
        *,
        device: str | None = None,
        backend: str | None = None,
        threads: int | None = None,
        score_thr: float | None = None,
        iou_thr: float | None = None,
        max_per_img: int | None = None,
        cfg_options: dict[str, Any] | None = None,
    ) -> None:
        model = os.fspath(model)
        for threshold in (score_thr, iou_thr):
            check_threshold(threshold or 0)
        for name, value in dict(threads=threads, max_per_img=max_per_img).items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InputError(f'{name} is {value!r}: give a whole number of 1 or more.')
        options = dict(score_thr=score_thr, iou_thr=iou_thr, max_per_img=max_per_img)
        if model.lower().endswith(('.onnx', '.xml')):
            if weights is not None or cfg_options:
                raise InputError(f'{model} is exported and has its weights and settings in itself: give it alone.')
            self._model = ExportedModel(model, backend, device or 'cpu', threads, **options)
        else:
            if backend is not None:
                raise InputError(f'backend={backend!r} is for an exported file, .onnx or .xml: leave it out.')
            if importlib.util.find_spec('torch') is None:
                raise InputError(
                    f'the model {model} needs torch and mmdet, which are not installed: install them as the README '
                    'says, or give a file that tools/export.py wrote.'
                )
            from ..apis.torch_model import TorchModel

            self._model = TorchModel(model, weights, device, threads, cfg_options, **options)
        self.classes = self._model.classes
        self._limit_told = False

    def predict(
        self,
        images: Any,
        threshold: float = 0.3,
        classes: Iterable[str | int] | None = None,
        batch_size: int = 1,
        progress: bool = False,
    ) -> Instances | list[Instances | None] | Iterator[Instances | None]:
        """Find the objects of images.

        Args:
            images: An image in any form that ``read_image`` takes (path, URL, bytes, array in BGR, Pillow image), a
                folder, a pattern such as ``photos/*.jpg``, a list of such, or a generator of images.
            threshold (float): Least score; 0 for all that the model gives. Defaults to 0.3.
            classes (iterable, optional): Names or indices of the classes to keep. Defaults to all.
            batch_size (int): Images at a time. Defaults to 1.
            progress (bool): Show a progress bar. Defaults to False.

        Returns:
            Instances of one image; a list where there may be several; of a generator a generator, which reads and
            predicts ``batch_size`` images ahead at most. An image that cannot be used gives None among others, and a
            warning that names it.

        Raises:
            InputError: If an option is out of range, the only image cannot be used, or there is none.
        """
        lazy = isinstance(images, Iterator)
        sources = images if lazy else list_images(images)
        results = self.stream(sources, threshold, classes, batch_size)
        if progress:
            from tqdm import tqdm

            results = tqdm(results, total=None if lazy else len(sources), unit='image')
        if not lazy and is_single(images):
            found = next(iter(results))[1]
            if isinstance(found, InputError):
                raise found
            return found
        found = map(_or_warning, results)
        return found if lazy else list(found)

    def stream(
        self,
        sources: Iterable[Any],
        threshold: float = 0.3,
        classes: Iterable[str | int] | None = None,
        batch_size: int = 1,
    ) -> Iterator[tuple[Any, Instances | InputError]]:
        """Find the objects of images one after the other, as ``predict`` does, however many there are.

        Args:
            sources (iterable): Images.
            threshold (float): Least score. Defaults to 0.3.
            classes (iterable, optional): Names or indices of the classes to keep. Defaults to all.
            batch_size (int): Images at a time, which are read ahead. Defaults to 1.

        Returns:
            iterator: Of each image what was given, and its objects or, where it cannot be used, what is wrong.

        Raises:
            InputError: If an option is out of range.
        """
        check_options(threshold, batch_size)
        indices = None if classes is None else class_indices(classes, self.classes)
        return self._results(iter(sources), threshold, indices, batch_size)

    def predict_large(
        self,
        image: Any,
        tile: int = 800,
        overlap: float = 0.25,
        threshold: float = 0.3,
        classes: Iterable[str | int] | None = None,
        batch_size: int = 1,
        progress: bool = False,
    ) -> Instances:
        """Find the objects of an image that is much larger than what the model takes, such as a satellite's.

        The image is looked at in overlapping tiles, and once as a whole, reduced, for what is larger than the overlap.
        What lies on a seam is joined by its RLEs, so memory does not grow with image times objects. Of TIFF, JPEG 2000
        and VRT files only the tiles are read where the package rasterio is installed.

        Args:
            image: In any form that ``read_image`` takes.
            tile (int): Side of a tile in pixels. The model resizes a tile as it would an image: for objects as large
                as those that it was trained on give its short side. Defaults to 800.
            overlap (float): Of neighbouring tiles, as a share of the side. Defaults to 0.25.
            threshold (float): Least score. Defaults to 0.3.
            classes (iterable, optional): Names or indices of the classes to keep. Defaults to all.
            batch_size (int): Tiles at a time. Defaults to 1.
            progress (bool): Show a progress bar. Defaults to False.

        Returns:
            Instances: In pixels of the image.

        Raises:
            InputError: If an option is out of range, or the image cannot be used.

        >>> segmenter.predict_large('field.tif', progress=True).save('field.json')  # doctest: +SKIP
        """
        check_options(threshold, batch_size)
        indices = None if classes is None else class_indices(classes, self.classes)
        return predict_large(self._model, image, tile, overlap, batch_size, threshold, progress).filter(classes=indices)

    def _results(
        self, sources: Iterator[Any], threshold: float, classes: list[int] | None, batch_size: int
    ) -> Iterator[tuple[Any, Instances | InputError]]:
        while batch := list(itertools.islice(sources, batch_size)):
            loaded = []
            for source in batch:
                try:
                    loaded.append(self._model.load(os.fspath(source) if isinstance(source, os.PathLike) else source))
                except (ImageError, MissingFileError) as error:
                    loaded.append(error)
            usable = [image for image in loaded if not isinstance(image, InputError)]
            found = iter(self._model.run(usable) if usable else [])
            for source, image in zip(batch, loaded):
                failed = isinstance(image, InputError)
                yield source, image if failed else self._choose(next(found), threshold, classes)

    def _choose(self, found: Instances, threshold: float, classes: list[int] | None) -> Instances:
        """Keep what the caller asks for; say once that there may be more objects than the model gives."""
        limit = self._model.max_per_img
        if len(found) >= limit > 0 and found.scores.min() >= threshold and not self._limit_told:
            self._limit_told = True
            print(
                f'note: an image reached the limit of {limit} objects, so there may be more: raise max_per_img.',
                file=sys.stderr,
                flush=True,
            )
        return found.filter(threshold, classes)


def _or_warning(result: tuple[Any, Instances | InputError]) -> Instances | None:
    found = result[1]
    if isinstance(found, InputError):
        print(f'warning: {found}', file=sys.stderr, flush=True)
        return None
    return found


def check_options(threshold: float, batch_size: int) -> None:
    """Raise InputError if an option of a prediction is out of range."""
    check_threshold(threshold)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f'batch_size is {batch_size!r}: give a whole number of 1 or more.')
