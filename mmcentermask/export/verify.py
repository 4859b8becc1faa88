"""Compares an exported model with PyTorch, object by object, and finds its mask AP on annotated images."""

import contextlib
import io
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.datasets.transforms import Resize
from mmdet.structures.bbox import bbox_overlaps
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..apis.starting_config import find_exports
from ..apis.torch_model import TorchModel
from ..datasets.shapes import draw
from ..errors import AnnotationError, ExportError
from ..image_inputs import list_images, read_image
from ..runtime.exported_model import ExportedModel, LoadedImage
from ..structures import Instances
from ..structures.panoptic_map import INSTANCE_OFFSET

BOX_TOLERANCE = 0.1  # pixels of the image
SCORE_TOLERANCE = 1e-3
LEAST_IOU = 0.99
PIXELS_TOLERANCE = 1e-3
_SAME = 1.0  # pixels that the boxes of one object may be apart to be compared at all


@dataclass
class Comparison:
    """How far an exported model is from PyTorch, at worst."""

    objects: int = 0  # that PyTorch found
    missing: int = 0  # that one found and the other did not, without those that ``compare`` excuses
    matched: int = 0  # that both found
    box: float = 0.0  # largest difference of a coordinate, in pixels of the image
    score: float = 0.0  # largest difference of a score or mask score
    iou: float = 1.0  # least IoU of a mask with PyTorch's
    pixels: float = 0.0  # largest share of an image's pixels with another class in the panoptic map, 0 without one

    def __add__(self, other: 'Comparison') -> 'Comparison':
        return Comparison(
            self.objects + other.objects,
            self.missing + other.missing,
            self.matched + other.matched,
            max(self.box, other.box),
            max(self.score, other.score),
            min(self.iou, other.iou),
            max(self.pixels, other.pixels),
        )

    @property
    def equal(self) -> bool:
        """Whether all is within the tolerances; a tenth of the objects at most may be excused."""
        close = self.box <= BOX_TOLERANCE and self.score <= SCORE_TOLERANCE and self.iou >= LEAST_IOU
        close = close and self.pixels <= PIXELS_TOLERANCE
        return close and not self.missing and self.matched >= 0.9 * self.objects


def compare(expected: Instances, found: Instances) -> Comparison:
    """Compare the objects that PyTorch and the exported model found in one image.

    An object that only one of the two has is excused where rounding decides between it and another: where its score is
    that of the last object in the list, behind which both cut, or that of an overlapping object of its class, which NMS
    kept in its place.
    """
    gaps = np.abs(expected.boxes[:, None] - found.boxes[None]).max(axis=2, initial=0)
    score_gaps = np.abs(_scores(expected)[:, None] - _scores(found)[None]).max(axis=2)
    gaps[expected.labels[:, None] != found.labels[None]] = np.inf
    pairs = []
    # by scores, too: boxes may be equal once they are clipped
    for i, j in zip(*np.unravel_index(np.argsort(gaps + score_gaps, axis=None), gaps.shape)):
        if gaps[i, j] <= _SAME and not any(i == a or j == b for a, b in pairs):
            pairs.append((i, j))
    mine, theirs = np.array(pairs, int).reshape(-1, 2).T
    result = Comparison(len(expected), matched=len(pairs))
    for one, other, matched in ((expected, found, mine), (found, expected, theirs)):
        alone = np.setdiff1d(np.arange(len(one)), matched)
        result.missing += sum(not _excused(one, i, other) for i in alone)
    if pairs:
        result.box = float(gaps[mine, theirs].max())
        result.score = float(score_gaps[mine, theirs].max())
        result.iou = min(_iou(expected.rle[i], found.rle[j]) for i, j in pairs)
    if expected.segment_ids is not None:
        classes = (instances.segment_ids % INSTANCE_OFFSET for instances in (expected, found))
        result.pixels = float(np.not_equal(*classes).mean())
    return result


def _scores(instances: Instances) -> np.ndarray:
    """Scores and mask scores, (k, 2)."""
    mask_scores = instances.scores if instances.mask_scores is None else instances.mask_scores
    return np.stack([instances.scores, mask_scores], axis=1)


def _excused(one: Instances, i: int, other: Instances) -> bool:
    tied = np.abs(other.scores - one.scores[i]) <= SCORE_TOLERANCE
    rivals = tied & (other.labels == one.labels[i])
    overlaps = bbox_overlaps(torch.from_numpy(one.boxes[i, None]), torch.from_numpy(other.boxes[rivals]))
    return bool((overlaps > 0.5).any()) or bool(tied[-1:].any())


def _iou(expected: dict, found: dict) -> float:
    """IoU of two masks; one pixel, which in a small mask is more than a hundredth, may differ."""
    both, either = (mask_api.area(mask_api.merge([expected, found], intersect)) for intersect in (True, False))
    return 1.0 if either - both <= 1 else float(both / either)


def images_to_compare(data: str | Path | None, number: int = 2) -> list[np.ndarray]:
    """Read the first images of a folder and the folders in it, or draw some: uint8 (H, W, 3), BGR.

    Raises:
        InputError: If there is no image, or it cannot be read.
    """
    if data is None:
        rng = np.random.default_rng(0)
        return [draw(rng, 320)[0] for _ in range(number)]
    return [read_image(path) for path in itertools.islice(list_images(str(data), recursive=True), number)]


def verify(
    model: TorchModel, exported: ExportedModel, images: Iterable[np.ndarray]
) -> list[tuple[tuple[int, int], Comparison]]:
    """Compare an exported model with PyTorch on images at two sizes, each with its mirror image in one batch.

    Images are uint8 (H, W, 3), BGR; where the file takes one size only, they are brought to it. Returns of each batch
    height and width of its images, and what was found.

    Raises:
        ExportError: If the exported model cannot run, or PyTorch finds no object in any of the images.
    """
    if exported.metadata.static_shape:
        resize = Resize(scale=tuple(exported.metadata.static_shape[::-1]), keep_ratio=False)
        steps = model.inferencer.pipeline.transforms
        model.inferencer.pipeline = Compose([resize if isinstance(step, Resize) else step for step in steps])
    results = []
    for image in images:
        for part in (image, image[: -(image.shape[0] // 3)]):
            batch = [part, part[:, ::-1]]
            expected = model.run([model.load(one) for one in batch])
            try:
                found = exported.run([_load(exported, one) for one in batch])
            except Exception as error:  # each backend has its own
                raise ExportError(
                    f'the exported model cannot run on images of {part.shape[0]} x {part.shape[1]} pixels, as a part '
                    'of it keeps the size it was traced with: fix the size of the images with --static and --batch.'
                ) from error
            compared = [compare(*both) for both in zip(expected, found)]
            results.append((part.shape[:2], sum(compared, Comparison())))
    if not any(comparison.objects for _, comparison in results):
        raise ExportError(
            'PyTorch finds no object in the images that the file is to be compared by: name a folder of images that '
            'have some with --data.'
        )
    return results


def _load(exported: ExportedModel, image: np.ndarray) -> LoadedImage:
    """Load an image; where the file takes one size only, without padding, and the image has this size."""
    loaded = exported.load(image)
    if exported.metadata.static_shape is None:
        return loaded
    resized = Resize(scale=tuple(exported.metadata.static_shape[::-1]), keep_ratio=False)(dict(img=image))['img']
    return LoadedImage(resized, resized.shape[1::-1], image.shape[1::-1], None)


class AnnotatedImages(NamedTuple):
    """Images and their annotations."""

    coco: COCO
    paths: dict[int, Path]  # of the images, by their ids
    categories: list[int]  # for each class of a model its category, or -1 where it has none


def read_annotated(data: Path, classes: Sequence[str], number: int) -> AnnotatedImages:
    """Find the first images of a COCO annotation file, or of a folder that has one: for validation, else for training.

    Raises:
        InputError: If there is no annotation file, it cannot be used, or it has no object of the model's classes.
    """
    train, val = find_exports(data)
    export = val or train
    images = export.content['images'][:number]
    paths = {image['id']: export.folder / image['file_name'] for image in images}
    numbers = {category['name']: category['id'] for category in export.content['categories']}
    categories = [numbers.get(name, -1) for name in classes]
    objects = [
        {'iscrowd': 0, 'area': 0, **annotation, 'id': i}
        for i, annotation in enumerate(export.content['annotations'], 1)
        if annotation['image_id'] in paths and annotation['category_id'] in categories
    ]
    if not objects:
        raise AnnotationError(
            f'{export.path} has no object of the classes of the model ({", ".join(classes[:5])}, ...) in its first '
            f'{len(images)} images: give annotations that have some with --data.'
        )
    coco = COCO()
    coco.dataset = dict(export.content, images=images, annotations=objects)
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return AnnotatedImages(coco, paths, categories)


def mask_ap(model: ExportedModel, data: AnnotatedImages) -> float:
    """Return COCO's mask AP, 0..1, of a model on annotated images."""
    results = []
    for image_id, path in data.paths.items():
        (found,) = model.run([model.load(read_image(path))])
        found = found[np.array(data.categories)[found.labels] >= 0]
        results += [
            dict(annotation, score=annotation.get('mask_score', annotation['score']))
            for annotation in found.to_coco(image_id, data.categories)['annotations']
        ]
    if not results:
        return 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(data.coco, data.coco.loadRes(results), 'segm')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])
