"""COCO's scores by hotcoco are those of pycocotools, to the last bit, and pycocotools takes over where it must."""

import json
import sys

import numpy as np
import pytest
import torch
from pycocotools.cocoeval import COCOeval
from random_results import SIDE, dataset, polygon, quietly, random_case, rle

from mmcentermask.evaluation import CocoInstanceMetric, FastCOCOeval


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
@pytest.mark.parametrize('seed', range(2))
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
