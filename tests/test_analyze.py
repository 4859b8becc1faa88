"""tools/analyze.py: a checkpoint and every file of results say the same, and bad input is told in one sentence."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from tiny_run import VAL_ANN, find_something, make_data, run_tool

from mmcentermask.datasets import CLASSES
from mmcentermask.datasets.coco import CocoReader
from mmcentermask.errors import InputError
from mmcentermask.evaluation.coco_results import read_results

FILES = {'analysis.json', 'errors.png', 'confusion.png', 'worst.jpg', 'best.jpg', 'examples.jpg'}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Data, a config, and results that hold the annotated objects themselves."""
    folder = tmp_path_factory.mktemp('analyze')
    make_data(folder / 'data')
    config = Path(find_something(folder)[0])
    config.write_text(config.read_text().replace("'data'", repr(str(folder / 'data'))))
    truth = CocoReader(str(folder / 'data' / VAL_ANN))
    boxes, masks, samples = [], [], []
    for image in truth.dataset['images']:
        objects = truth.imgToAnns[image['id']]
        rles = [truth.annToRLE(entry) for entry in objects]
        corners = torch.tensor([entry['bbox'] for entry in objects])
        corners[:, 2:] += corners[:, :2]
        labels = torch.tensor([entry['category_id'] - 1 for entry in objects])
        scores, mask_scores = torch.full((len(objects),), 0.75), torch.full((len(objects),), 0.5)
        instances = dict(bboxes=corners, labels=labels, scores=scores, masks=rles, mask_scores=mask_scores)
        shape = (image['height'], image['width'])
        samples.append(dict(img_id=image['id'], ori_shape=shape, pred_instances=instances))
        for entry, rle in zip(objects, rles, strict=True):
            found = {key: entry[key] for key in ('image_id', 'category_id', 'bbox')}
            boxes.append(dict(found, score=0.75))
            masks.append(dict(found, score=0.5, segmentation=dict(rle, counts=rle['counts'].decode())))
    (folder / 'own.pkl').write_bytes(pickle.dumps(samples))
    (folder / 'own.bbox.json').write_text(json.dumps(boxes))
    (folder / 'own.segm.json').write_text(json.dumps(masks))
    (folder / 'masks.json').write_text(json.dumps(masks))
    return folder


def test_every_file_of_results_is_read(folder):
    ann_file = str(folder / 'data' / VAL_ANN)
    truth = CocoReader(ann_file)
    boxes, masks = (json.loads((folder / f'own.{form}.json').read_text()) for form in ('bbox', 'segm'))
    for name in ('own.pkl', 'own.bbox.json', 'own.segm.json'):
        results = read_results(str(folder / name), truth, ann_file, CLASSES)
        assert results['segm'] == masks and list(results) == ['bbox', 'segm']
        for ours, entry in zip(results['bbox'], boxes, strict=True):
            assert {**ours, 'bbox': pytest.approx(entry['bbox'])} == entry
    assert read_results(str(folder / 'masks.json'), truth, ann_file, CLASSES) == dict(segm=masks)


def test_tool(folder, tmp_path, capsys):
    pytest.importorskip('hotcoco')
    args = (folder / 'tiny.py', folder / 'own.segm.json', '--out', tmp_path / 'out', '--images', '2')
    assert run_tool('tools/analyze.py', *args) == 0
    told = capsys.readouterr().out
    names = {path.name for path in (tmp_path / 'out').iterdir()}
    assert names == FILES | {'results.bbox.json', 'results.segm.json'}
    assert json.loads((tmp_path / 'out/results.segm.json').read_text()) == json.loads(
        (folder / 'own.segm.json').read_text()
    )
    analysis = json.loads((tmp_path / 'out/analysis.json').read_text())
    assert analysis['segm']['scores']['AP'] == pytest.approx(1) == analysis['bbox']['scores']['AP']
    assert analysis['mask_scoring']['predicted'] == pytest.approx(0.5 / 0.75)
    assert analysis['mask_scoring']['real'] == pytest.approx(1)
    assert '| mask | 1.000 | 1.000 | 1.000 |' in told and 'creating index' not in told


@pytest.mark.slow
def test_a_checkpoint_and_what_it_wrote_say_the_same(folder, tmp_path, capsys):
    pytest.importorskip('hotcoco')
    config, weights = folder / 'tiny.py', folder / 'weights.pth'
    run_tool('tools/test.py', config, weights, '--work-dir', tmp_path / 'run', '--out', tmp_path / 'found.pkl')
    told = []
    for source in (weights, tmp_path / 'found.pkl'):
        assert run_tool('tools/analyze.py', config, source, '--out', tmp_path / source.stem) == 0
        told.append(json.loads((tmp_path / source.stem / 'analysis.json').read_text()))
        assert told[-1].pop('results') == str(source)
    assert told[0] == told[1] and len(json.loads((tmp_path / 'found/results.segm.json').read_text())) == 10


def change(key, value):
    def apply(path, folder):
        path.write_text(
            json.dumps([{**entry, key: value} for entry in json.loads((folder / 'masks.json').read_text())])
        )

    return apply


def content(text, suffix='.json'):
    return lambda path, folder: path.with_suffix(suffix).write_bytes(text)


BAD = {
    'of other images': (change('image_id', 99), 'is of another data set: 6 of its 6 predictions are of an image'),
    'of other classes': (
        change('category_id', 99),
        'is of another data set: 6 of its 6 predictions are of a category',
    ),
    'no score': (change('score', 'high'), 'prediction 0 has no score that can be used'),
    'no box': (change('bbox', [1, 2]), 'prediction 0 has no bbox'),
    'a list as id': (change('image_id', [1]), 'prediction 0 has no image_id'),
    'a mask of another size': (
        change('segmentation', dict(size=[1, 1], counts='1')),
        'prediction 0 has no segmentation',
    ),
    'no list': (content(b'{"images": []}'), 'is no list of predictions'),
    'nothing in it': (content(b''), 'is empty'),
    'no predictions': (content(b'[]'), 'holds no predictions'),
    'no JSON': (content(b'[{'), 'is not JSON'),
    'numbers': (content(b'[1]'), 'prediction 0 has no image_id'),
    'no pickle': (content(b'hello', '.pkl'), 'cannot be read'),
    'another pickle': (content(pickle.dumps([1]), '.pkl'), 'does not hold predictions of objects'),
    'an empty pickle': (content(pickle.dumps([]), '.pkl'), 'holds no predictions'),
    'labels of another model': (
        content(pickle.dumps([dict(img_id=1, pred_instances=dict(labels=torch.tensor([4])))]), '.pkl'),
        'has labels beyond the 4 classes',
    ),
    'missing': (lambda path, _: None, 'there is no file'),
}


@pytest.mark.parametrize('name', BAD)
def test_bad_results_are_told_in_one_sentence(name, folder, tmp_path):
    spoil, words = BAD[name]
    spoil(tmp_path / 'found.json', folder)
    (path,) = list(tmp_path.iterdir()) or [tmp_path / 'found.json']
    ann_file = str(folder / 'data' / VAL_ANN)
    with pytest.raises(ValueError, match=words) as caught:
        read_results(str(path), CocoReader(ann_file), ann_file, CLASSES)
    assert str(path) in str(caught.value) and '\n' not in str(caught.value)


def test_boxes_and_masks_of_different_predictions(folder, tmp_path):
    for form, end in (('bbox', 4), ('segm', 5)):
        entries = json.loads((folder / f'own.{form}.json').read_text())
        (tmp_path / f'a.{form}.json').write_text(json.dumps(entries[:end]))
    ann_file = str(folder / 'data' / VAL_ANN)
    with pytest.raises(InputError, match='do not hold the same predictions'):
        read_results(str(tmp_path / 'a.bbox.json'), CocoReader(ann_file), ann_file, CLASSES)


def test_refused_before_anything_is_written(folder, tmp_path, capsys, monkeypatch):
    out = tmp_path / 'out'

    def refused(*more):
        assert run_tool('tools/analyze.py', folder / 'tiny.py', *more, '--out', out) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith('error: ') and not out.exists()
        return error

    assert '--score-thr is 2' in refused(folder / 'own.pkl', '--score-thr', '2')
    assert '--images is 0' in refused(folder / 'own.pkl', '--images', '0')
    pytest.importorskip('hotcoco')
    assert 'nowhere' in refused(tmp_path / 'nowhere.pth')
    torch.save(dict(state_dict=dict(other=torch.ones(1))), tmp_path / 'other.pth')
    assert 'other.pth' in refused(tmp_path / 'other.pth')
    assert 'one COCO dataset' in refused(
        folder / 'own.pkl', '--cfg-options', 'test_dataloader.dataset.type=LVISV1Dataset'
    )
    monkeypatch.setitem(__import__('sys').modules, 'hotcoco', None)
    assert 'needs the package hotcoco' in refused(folder / 'own.pkl')
