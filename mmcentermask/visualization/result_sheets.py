"""Draws the worst and the best images of results, and some that are not chosen."""

from collections import defaultdict
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset

from .labelled_images import LabelledImages, sheet_of

__all__ = ['draw_sheets']


def draw_sheets(
    dataset: BaseDataset, results: dict[str, list[dict]], analysis: dict[str, Any], number: int = 8
) -> dict[str, bytes]:
    """Draw sheets of images, the annotated objects beside the predictions.

    Args:
        dataset (BaseDataset): That of the results.
        results (dict): Form -> predictions of COCO's form.
        analysis (dict): What ``analyze_results`` gives; predictions below its ``score_thr`` are not drawn.
        number (int): Images of a sheet. Defaults to 8.

    Returns:
        dict: ``worst.jpg``, ``best.jpg`` and ``examples.jpg`` (at equal steps through the dataset, not chosen).
    """
    images = LabelledImages(dataset)
    place = {images.id_of(i): i for i in range(len(dataset))}
    labels = dataset.cat2label
    found = defaultdict(list)
    for entry in results.get('segm', results.get('bbox')):
        if entry['score'] >= analysis['score_thr']:
            found[entry['image_id']].append(entry)
    numbers = {i: number for number, i in place.items()}
    ranked = [image['id'] for image in analysis['images'] if image['id'] in place]
    # of those with equally good results the ones with most objects
    best = sorted(analysis['images'], key=lambda image: (-image['f1'], -image['found'], image['file_name']))
    chosen = dict(
        worst=ranked[:number],
        best=[image['id'] for image in best if image['id'] in place][:number],
        examples=[numbers[i] for i in images.spread(number)],
    )
    return {
        f'{name}.jpg': sheet_of([tile for n in those for tile in images.draw(place[n], _instances(found[n], labels))])
        for name, those in chosen.items()
    }


def _instances(entries: list[dict], labels: dict[int, int]) -> dict[str, Any]:
    entries = sorted(entries, key=lambda entry: -entry['score'])
    instances = dict(labels=[labels[e['category_id']] for e in entries], scores=[e['score'] for e in entries])
    if all('segmentation' in entry for entry in entries):
        instances['masks'] = [entry['segmentation'] for entry in entries]
    if all('bbox' in entry for entry in entries):
        boxes = np.array([entry['bbox'] for entry in entries], float).reshape(-1, 4)
        instances['bboxes'] = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    return instances
