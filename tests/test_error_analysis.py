"""What is said about results: each kind of errors is counted, and numbers agree with those worked out by hand."""

import json
import sys

import pytest
from random_results import SIDE, dataset, polygon, random_case, rle

from mmcentermask.errors import AnnotationError, InputError
from mmcentermask.evaluation import FastCOCOeval, analyze_results
from mmcentermask.evaluation.error_analysis import calibrate_mask_scores
from mmcentermask.evaluation.error_tables import tables_of_errors
from mmcentermask.visualization import draw_confusion, draw_errors

CLASSES = ['cat', 'dog']


def truth_of(*objects):
    """Objects as image, category (1: cat, 2: dog) and box, in three images."""
    return dict(
        images=[dict(id=i, height=SIDE, width=SIDE, file_name=f'{i}.jpg') for i in (1, 2, 3)],
        categories=[dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)],
        annotations=[
            dict(
                id=i, image_id=image, category_id=category, bbox=box, area=box[2] * box[3], iscrowd=0,
                segmentation=polygon(*box),
            )
            for i, (image, category, box) in enumerate(objects, 1)
        ],
    )  # fmt: skip


def found(image, category, box, score, mask_score=None, mask=None):
    entry = dict(image_id=image, category_id=category, bbox=box)
    return dict(entry, score=score), dict(entry, score=mask_score or score, segmentation=rle(*(mask or box)))


def in_forms(*pairs):
    return dict(bbox=[box for box, _ in pairs], segm=[mask for _, mask in pairs])


@pytest.fixture
def case():
    """Every kind of error once; image 3 has nothing, and nothing is found there."""
    pytest.importorskip('hotcoco')
    truth = truth_of(
        (1, 1, [10, 10, 40, 40]), (1, 1, [100, 10, 40, 40]), (1, 2, [10, 100, 40, 40]), (2, 1, [10, 10, 40, 40]),
        (2, 2, [100, 100, 100, 100]),
    )  # fmt: skip
    results = in_forms(
        found(1, 1, [10, 10, 40, 40], 0.9),  # right
        found(1, 1, [10, 10, 40, 38], 0.8),  # Dupe
        found(1, 1, [110, 30, 40, 40], 0.7),  # Loc: IoU 600 / 2600
        found(1, 1, [10, 100, 40, 40], 0.6),  # Cls
        found(1, 2, [160, 160, 40, 40], 0.5),  # Bkg
        found(2, 2, [20, 30, 40, 40], 0.4),  # Both: IoU 600 / 2600
        found(2, 2, [100, 100, 100, 100], 0.2),  # right, but below the threshold of what counts as found
    )
    return truth, results


def test_each_kind_of_error_once(case):
    truth, results = case
    analysis = analyze_results(dataset(truth), results, CLASSES, 0.3)
    for form in ('bbox', 'segm'):
        counts = {kind: error['count'] for kind, error in analysis[form]['tide'].items()}
        # one cat of image 2 is not found; what is half right on another object does not count as missed
        assert counts == dict(Cls=1, Loc=1, Both=1, Dupe=1, Bkg=1, Miss=1)
    matrix = dict(zip(('cat', 'dog', 'nothing'), analysis['segm']['confusion']['matrix'], strict=True))
    assert analysis['segm']['confusion']['names'] == ['cat', 'dog', 'nothing']
    assert matrix == dict(cat=[1, 0, 2], dog=[1, 0, 1], nothing=[2, 2, 0])
    numbers = {
        image['file_name']: tuple(image[key] for key in ('found', 'missed', 'wrong')) for image in analysis['images']
    }
    assert numbers == {'1.jpg': (1, 2, 4), '2.jpg': (0, 2, 1), '3.jpg': (0, 0, 0)}
    assert [(image['file_name'], image['f1']) for image in analysis['images']] == [
        ('2.jpg', 0), ('1.jpg', 2 / 8), ('3.jpg', 1.0),
    ]  # fmt: skip
    assert analysis['mask_scoring'] is None  # masks are scored as boxes
    assert [row['objects'] for row in analysis['segm']['classes']] == [3, 2]
    text = tables_of_errors(json.loads(json.dumps(analysis)))
    assert '| dog       | cat       | 1      |' in text and text.count('\n') > 30
    draw_errors(analysis), draw_confusion(analysis)


@pytest.mark.parametrize('form', ['bbox', 'segm'])
def test_scores_are_those_of_the_metric(form):
    pytest.importorskip('hotcoco')
    content, results = random_case(4)
    names = [entry['name'] for entry in content['categories']]
    entries = [{key: value for key, value in entry.items() if form == 'bbox' or key != 'bbox'} for entry in results]
    truth = dataset(content)
    evaluation = FastCOCOeval(truth, truth.loadRes(entries), form)
    evaluation.evaluate(), evaluation.accumulate(), evaluation.summarize()
    scores = analyze_results(truth, {form: results}, names)[form]['scores']
    expected = dict(zip(('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl'), evaluation.stats, strict=False))
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert 0 < expected['AP'] < expected['AP50']


def test_precision_is_told_where_there_are_objects_alone():
    """One cat, found first of two: precision 1 at every recall; no dog: no value."""
    pytest.importorskip('hotcoco')
    truth = truth_of((1, 1, [10, 10, 40, 40]))
    results = in_forms(found(1, 1, [10, 10, 40, 40], 0.9), found(1, 2, [10, 10, 40, 40], 0.8))
    segm = analyze_results(dataset(truth), results, CLASSES)['segm']
    assert segm['curves']['0.9'] == pytest.approx([1] * 101)
    assert [(row['AP'], row['APs'], row['APm']) for row in segm['classes']] == [
        (pytest.approx(1), None, pytest.approx(1)), (None, None, None),
    ]  # fmt: skip


def test_calibration_of_mask_scoring():
    """Masks with IoUs of 1, 1/2 and 1/4 and predictions that are right, right, and 1/4 too high."""
    truth = truth_of((1, 1, [10, 10, 40, 40]), (2, 1, [10, 10, 40, 40]), (3, 1, [10, 10, 40, 40]))
    box = [10, 10, 40, 40]
    results = in_forms(
        found(1, 1, box, 0.5, 0.5),
        found(2, 1, box, 0.8, 0.4, mask=[10, 10, 20, 40]),
        found(3, 1, box, 0.9, 0.45, mask=[10, 10, 10, 40]),
        found(3, 1, [100, 100, 40, 40], 0.9, 0.1),  # no object
        found(3, 2, box, 0.9, 0.1),  # of another class
    )
    found_out = calibrate_mask_scores(dataset(truth), results['bbox'], results['segm'])
    assert found_out['number'] == 3
    assert found_out['predicted'] == pytest.approx((1 + 0.5 + 0.5) / 3)
    assert found_out['real'] == pytest.approx((1 + 0.5 + 0.25) / 3)
    assert found_out['error'] == pytest.approx(0.25 / 3)
    # by hand: deviations of (1, 1/2, 1/2) are (1/3, -1/6, -1/6), of (1, 1/2, 1/4) they are (5/12, -1/12, -1/3)
    assert found_out['correlation'] == pytest.approx((5 / 36 + 1 / 72 + 1 / 18) / (1 / 6 * 7 / 24) ** 0.5)
    assert found_out['correlation_of_box_score'] < 0
    assert found_out['bins'] == [
        dict(count=2, predicted=pytest.approx(0.5), real=pytest.approx(0.375)),
        dict(count=1, predicted=pytest.approx(1), real=pytest.approx(1)),
    ]


def test_what_ranking_by_mask_scores_brings():
    """Of two masks the bad one has the better box: AP 1/2 by box scores, 1 by mask scores."""
    pytest.importorskip('hotcoco')
    truth = truth_of((1, 1, [10, 10, 40, 40]))
    results = in_forms(
        found(1, 1, [10, 10, 40, 40], 0.9, 0.2, mask=[10, 10, 10, 40]), found(1, 1, [10, 10, 40, 40], 0.8, 0.95)
    )  # fmt: skip
    scoring = analyze_results(dataset(truth), results, CLASSES)['mask_scoring']  # a predicted IoU above 1 is fine
    assert (scoring['ap_by_box_score'], scoring['ap']) == pytest.approx((0.5, 1))


def test_nothing_is_sure_enough():
    pytest.importorskip('hotcoco')
    truth = truth_of((1, 1, [10, 10, 40, 40]))
    analysis = analyze_results(dataset(truth), in_forms(found(1, 1, [10, 10, 40, 40], 0.1)), CLASSES, 0.5)
    assert [(image['id'], image['missed']) for image in analysis['images']] == [(1, 1), (2, 0), (3, 0)]


def test_what_cannot_be_analyzed(monkeypatch):
    truth, results = truth_of((1, 1, [10, 10, 40, 40])), in_forms(found(1, 1, [10, 10, 40, 40], 0.1))
    with monkeypatch.context() as without:
        without.setitem(sys.modules, 'hotcoco', None)
        with pytest.raises(InputError, match='needs the package hotcoco.*pip install'):
            analyze_results(dataset(truth), results, CLASSES)
    pytest.importorskip('hotcoco')
    truth['images'][0]['id'] = 'one'
    with pytest.raises(AnnotationError, match='number images and categories'):
        analyze_results(dataset(truth), results, CLASSES)
