"""Mask AP of an exported model on annotated images."""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..apis.starting_config import find_exports
from ..errors import AnnotationError
from ..image_inputs import read_image
from ..runtime.exported_model import ExportedModel


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
