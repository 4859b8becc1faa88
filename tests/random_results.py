"""Random annotations and results of them, in COCO's form."""

import contextlib
import io
import json

import numpy as np
from pycocotools import mask as mask_api

from mmcentermask.datasets.coco import CocoReader

SIDE = 220


def rle(x, y, w, h):
    mask = np.zeros((SIDE, SIDE), np.uint8, order='F')
    mask[int(y) : int(y + h), int(x) : int(x + w)] = 1
    code = mask_api.encode(mask)
    return dict(code, counts=code['counts'].decode())


def polygon(x, y, w, h):
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def random_case(seed, first_id=1):
    """A dataset and results: crowds, all sizes, equal scores, classes and images without anything."""
    rng = np.random.default_rng(seed)
    images = [dict(id=first_id + i, height=SIDE, width=SIDE, file_name=f'{i}.jpg') for i in range(8)]
    categories = [dict(id=i, name=f'class {i}') for i in (3, 7, 9, 90)]  # nothing is of 90

    def boxes(number, sizes):
        side = rng.choice(sizes, (number, 2)) * rng.uniform(0.6, 1.2, (number, 2))
        corner = rng.uniform(0, SIDE - side)
        return np.concatenate([corner, side], 1)

    annotations, results = [], []
    for image in images[:-1]:
        truth = boxes(rng.integers(0, 9), (12, 50, 120))
        for box in truth:
            crowd = int(rng.random() < 0.2)
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image['id'],
                    category_id=int(rng.choice([3, 7])),
                    bbox=box.tolist(),
                    area=float(box[2] * box[3]),
                    iscrowd=crowd,
                    segmentation=rle(*box) if crowd else polygon(*box),
                )
            )
        near = np.repeat(truth, 3, 0)
        near = np.clip(near + rng.normal(0, 5, near.shape), 1, SIDE - 1)
        for box in np.concatenate([near, boxes(4, (12, 50))]):
            entry = dict(image_id=image['id'], category_id=int(rng.choice([3, 7, 9])), bbox=box.tolist())
            results.append(dict(entry, score=round(float(rng.random()), 1), segmentation=rle(*box)))
    return dict(images=images, categories=categories, annotations=annotations), results


def quietly(function, *args):
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*args)


def dataset(content):
    coco = CocoReader()
    coco.dataset = json.loads(json.dumps(content))
    quietly(coco.createIndex)
    return coco
