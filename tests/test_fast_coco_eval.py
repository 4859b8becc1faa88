"""COCO's scores by hotcoco are those of pycocotools, to the last bit, and pycocotools takes over where it must."""

import contextlib
import io
import json
import sys

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmcentermask.evaluation import CocoInstanceMetric, FastCOCOeval

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
    coco = COCO()
    coco.dataset = json.loads(json.dumps(content))
    quietly(coco.createIndex)
    return coco


def evaluated(kind, content, results, form, **params):
    """Evaluate as mmdet does: results of masks without boxes."""
    truth = dataset(content)
    results = [{key: value for key, value in entry.items() if form == 'bbox' or key != 'bbox'} for entry in results]
    evaluation = kind(truth, quietly(truth.loadRes, results), form)
    for name, value in {'maxDets': [100, 300, 1000], **params}.items():
        setattr(evaluation.params, name, value)
    for step in (evaluation.evaluate, evaluation.accumulate, evaluation.summarize):
        quietly(step)
    return evaluation


SETTINGS = {
    'as mmdet': {},
    'few': dict(maxDets=[1, 2, 5]),
    'unsorted': dict(maxDets=[100, 1, 10], catIds=[9, 3, 90, 7]),
    'some': dict(catIds=[7], imgIds=[3, 1, 2]),
    'thresholds': dict(iouThrs=np.array([0.3, 0.5, 0.75]), areaRng=[[0, 1e10], [0, 300], [300, 3000], [3000, 1e10]]),
    'proposals': dict(useCats=0),
}


@pytest.mark.parametrize('form', ['bbox', 'segm'])
@pytest.mark.parametrize('name', SETTINGS)
@pytest.mark.parametrize('seed', range(3))
def test_equal_to_pycocotools(form, name, seed):
    pytest.importorskip('hotcoco')
    ours, theirs = (evaluated(kind, *random_case(seed), form, **SETTINGS[name]) for kind in (FastCOCOeval, COCOeval))
    assert ours._fast is not None
    for key in ('precision', 'recall', 'scores'):
        assert np.array_equal(ours.eval[key], theirs.eval[key]), key
    assert np.array_equal(ours.stats, theirs.stats) and 0 < theirs.stats[1] < 1
    assert (theirs.eval['precision'] == -1).any() or name != 'as mmdet'  # the class without an object


def test_nothing_found_of_a_class_and_crowds_alone():
    pytest.importorskip('hotcoco')
    content, results = random_case(0)
    for entry in content['annotations']:
        entry['iscrowd'] = 1
        entry['segmentation'] = rle(*entry['bbox'])
    for form in ('bbox', 'segm'):
        ours, theirs = (evaluated(kind, content, results[:1], form) for kind in (FastCOCOeval, COCOeval))
        assert np.array_equal(ours.stats, theirs.stats) and (theirs.stats == -1).all()


@pytest.mark.parametrize('reason', ['missing', 'text'])
def test_pycocotools_where_hotcoco_cannot(reason, monkeypatch):
    if reason == 'missing':
        monkeypatch.setitem(sys.modules, 'hotcoco', None)
    content, results = random_case(1)
    if reason == 'text':
        for entry in results + content['annotations']:
            entry['image_id'] = f'image {entry["image_id"]}'
        for image in content['images']:
            image['id'] = f'image {image["id"]}'
    ours, theirs = (evaluated(kind, content, results, 'segm') for kind in (FastCOCOeval, COCOeval))
    assert ours._fast is None and np.array_equal(ours.stats, theirs.stats) and theirs.stats[0] > 0


def metric_scores(tmp_path, content, samples, **options):
    (tmp_path / 'truth.json').write_text(json.dumps(content))
    metric = CocoInstanceMetric(str(tmp_path / 'truth.json'), metric=['bbox', 'segm'], **options)
    metric.dataset_meta = dict(classes=[entry['name'] for entry in content['categories']])
    for sample in samples:
        metric.process({}, [sample])
    return metric.evaluate(len(samples))


def as_sample(image, results, numbers):
    boxes = torch.tensor([entry['bbox'] for entry in results]).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    instances = dict(
        bboxes=boxes,
        scores=torch.tensor([entry['score'] for entry in results]),
        labels=torch.tensor([numbers[entry['category_id']] for entry in results], dtype=torch.long),
        masks=[entry['segmentation'] for entry in results],
        mask_scores=torch.tensor([entry.get('mask_score', entry['score']) for entry in results]),
    )
    return dict(img_id=image['id'], ori_shape=(SIDE, SIDE), pred_instances=instances)


def test_the_metric_gives_the_same_scores_with_and_without(tmp_path, monkeypatch):
    pytest.importorskip('hotcoco')
    content, results = random_case(2)
    numbers = {entry['id']: i for i, entry in enumerate(content['categories'])}
    rng = np.random.default_rng(0)
    for entry in results:
        entry['mask_score'] = entry['score'] * float(rng.random())
    samples = [
        as_sample(image, [entry for entry in results if entry['image_id'] == image['id']], numbers)
        for image in content['images']
    ]
    fast = metric_scores(tmp_path, content, samples, classwise=True)
    monkeypatch.setitem(sys.modules, 'hotcoco', None)
    slow = metric_scores(tmp_path, content, samples, classwise=True)
    assert list(fast) == list(slow) and len(slow) == 12 + 4
    np.testing.assert_equal(list(fast.values()), list(slow.values()))  # NaN of the class without an object, too


def test_masks_are_ranked_by_mask_scores(tmp_path):
    """The right mask second by its box, first by its mask: precision 1/2 of boxes, 1 of masks."""
    image = dict(id=1, height=SIDE, width=SIDE, file_name='a.jpg')
    truth = dict(id=1, image_id=1, category_id=1, bbox=[10, 10, 50, 50], area=2500, iscrowd=0)
    content = dict(
        images=[image],
        categories=[dict(id=1, name='a')],
        annotations=[dict(truth, segmentation=polygon(10, 10, 50, 50))],
    )
    results = [
        dict(category_id=1, bbox=box, segmentation=rle(*box), score=score, mask_score=mask_score)
        for box, score, mask_score in (([100, 100, 50, 50], 0.9, 0.2), ([10, 10, 50, 50], 0.8, 0.7))
    ]
    scores = metric_scores(tmp_path, content, [as_sample(image, results, {1: 0})])
    assert scores['coco/bbox_mAP'] == 0.5 and scores['coco/segm_mAP'] == 1.0
