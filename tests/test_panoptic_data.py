"""Panoptic data: read and written as COCO has them, PQ known by hand, faults named in a sentence."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from conftest import CONFIGS
from mmcentermask.apis import check_data_for_training
from mmcentermask.datasets import CocoInstanceDataset, LoadPanopticPNGAnnotations, PanopticDataset, make_shapes
from mmcentermask.datasets.config_datasets import coco_splits
from mmcentermask.datasets.inspection import inspect_dataset
from mmcentermask.errors import AnnotationError, ConfigError, ImageError, InputError, MissingFileError
from mmcentermask.evaluation import PanopticQualityMetric
from mmcentermask.structures import decode_segment_ids, encode_segment_ids

THINGS, STUFF = ('cat', 'dog'), ('sky', 'grass')
META = dict(thing_classes=THINGS, stuff_classes=STUFF)
#           px  0-5     6-9    10-11: a crowd of cats  12-13: void  14-19
TRUTH = [7] * 6 + [300] * 4 + [70000] * 2 + [0] * 2 + [5] * 6
SEGMENTS = {7: ('cat', 0), 300: ('dog', 0), 70000: ('cat', 1), 5: ('sky', 0)}


def png(row):
    ids = np.array([row], np.int32)
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)


@pytest.fixture
def data(tmp_path):
    """One image of 1 x 20 pixels, its categories in another order than the config's classes."""
    names = ('grass', 'dog', 'sky', 'cat')
    segments = []
    for number, (name, crowd) in SEGMENTS.items():
        places = [i for i, value in enumerate(TRUTH) if value == number]
        box = [places[0], 0, len(places), 1]
        category = 10 * (names.index(name) + 1)
        segments.append(dict(id=number, category_id=category, iscrowd=crowd, bbox=box, area=len(places)))
    content = dict(
        images=[dict(id=4, file_name='photo.jpg', height=1, width=20)],
        annotations=[dict(image_id=4, file_name='its-segments.png', segments_info=segments)],
        categories=[dict(id=10 * (i + 1), name=name, isthing=int(name in THINGS)) for i, name in enumerate(names)],
    )
    (tmp_path / 'panoptic.json').write_text(json.dumps(content))
    (tmp_path / 'pngs').mkdir()
    cv2.imwrite(str(tmp_path / 'pngs/its-segments.png'), png(TRUTH)[..., ::-1])
    cv2.imwrite(str(tmp_path / 'photo.jpg'), np.zeros((1, 20, 3), np.uint8))
    return tmp_path


def change(folder, edit):
    content = json.loads((folder / 'panoptic.json').read_text())
    edit(content)
    (folder / 'panoptic.json').write_text(json.dumps(content))


def dataset(folder, **options):
    return PanopticDataset(
        **dict(
            dict(
                ann_file=str(folder / 'panoptic.json'),
                data_prefix=dict(img=str(folder), seg=str(folder / 'pngs')),
                metainfo=META,
                pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadPanopticPNGAnnotations')],
            ),
            **options,
        )
    )


def metric(folder, **options):
    result = PanopticQualityMetric(str(folder / 'panoptic.json'), str(folder / 'pngs'), **options)
    result.dataset_meta = dict(META, classes=THINGS + STUFF)
    return result


def predict(result, row, img_id=4):
    result.process({}, [dict(img_id=img_id, pred_panoptic_seg=dict(sem_seg=torch.tensor([[row]], dtype=torch.int32)))])


def test_ids_are_the_colors_of_coco():
    ids = np.array([[0, 1, 256, 65536, 2**24 - 1]], np.int32)
    content = encode_segment_ids(ids)
    rgb = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[0, :, ::-1]
    assert rgb.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [255, 255, 255]]
    assert np.array_equal(decode_segment_ids(content), ids) and decode_segment_ids(b'none') is None


def test_loading(data):
    """Labels follow the config; crowds are no objects; what has no segment is ignored."""
    results = dataset(data)[0]
    assert results['gt_bboxes_labels'].tolist() == [0, 1]
    assert results['gt_bboxes'].tensor.tolist() == [[0, 0, 6, 1], [6, 0, 10, 1]]
    assert [mask.nonzero()[1].tolist() for mask in results['gt_masks'].masks] == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9]]
    assert results['gt_seg_map'].tolist() == [[0] * 6 + [1] * 4 + [0] * 2 + [255] * 2 + [2] * 6]
    assert results['gt_seg_map'].dtype == np.uint8


def test_classes_that_the_config_leaves_out_are_void(data):
    results = dataset(data, metainfo=dict(thing_classes=('cat',), stuff_classes=('sky',)))[0]
    assert results['gt_bboxes_labels'].tolist() == [0]
    assert results['gt_seg_map'].tolist() == [[0] * 6 + [255] * 4 + [0] * 2 + [255] * 2 + [1] * 6]


def test_ids_need_not_be_unique_among_images(data):
    def twice(content):
        content['images'].append(dict(content['images'][0], id=5))
        content['annotations'].append(dict(content['annotations'][0], image_id=5, segments_info=[]))
        content['annotations'][1]['segments_info'].append(dict(content['annotations'][0]['segments_info'][0]))

    change(data, twice)
    infos = dataset(data, pipeline=[])
    assert [[s['id'] for s in infos[i]['segments_info']] for i in (0, 1)] == [[7, 300, 70000, 5], [7]]


#                5 of 6 cat    bit of dog   dog: nothing  the crowd     void  sky, from void on  grass
PREDICTED = [1000] * 5 + [2001] * 3 + [4] * 2 + [3000] * 2 + [4001] + [2] * 6 + [3]


def test_quality_by_hand(data, tmp_path):
    """Cat: IoU 5 / 6. Dog: IoU 2 / 5, missed. Sky: 5 of 6 pixels, and one on void, which does not count. Grass: wrong.

    What is predicted on void or on a crowd of its class is neither right nor wrong.
    """
    pytest.importorskip('hotcoco')
    result = metric(data, classwise=True, outfile_prefix=str(tmp_path / 'out/mine'))
    predict(result, PREDICTED)
    scores = {name.split('/')[1]: value for name, value in result.evaluate(1).items()}
    quality = 100 * 5 / 6
    expected = dict(PQ_cat=quality, PQ_dog=0, PQ_sky=quality, PQ_grass=0)
    for ending in ('', '_th', '_st'):
        expected |= {f'PQ{ending}': quality / 2, f'SQ{ending}': quality / 2, f'RQ{ending}': 50}
    assert scores == pytest.approx(expected)
    written = json.loads((tmp_path / 'out/mine.panoptic.json').read_text())['annotations'][0]
    ids = decode_segment_ids((tmp_path / 'out/mine.panoptic' / written['file_name']).read_bytes())
    assert ids.tolist() == [[number if number != 4 else 0 for number in PREDICTED]]
    by_id = {segment['id']: (segment['category_id'], segment['area']) for segment in written['segments_info']}
    assert by_id == {1000: (40, 5), 2001: (20, 3), 3000: (40, 2), 4001: (20, 1), 2: (30, 6), 3: (10, 1)}


def test_quality_of_the_truth_is_100(data):
    pytest.importorskip('hotcoco')
    result = metric(data)
    labels = {7: 1000, 300: 2001, 70000: 3000, 0: 4, 5: 2}
    predict(result, [labels[number] for number in TRUTH])
    assert set(result.evaluate(1).values()) == {100.0}


def test_results_can_be_written_without_a_ground_truth(data, tmp_path):
    change(data, lambda content: content.pop('annotations'))
    result = metric(data, format_only=True, outfile_prefix=str(tmp_path / 'out'))
    predict(result, PREDICTED)
    assert result.evaluate(1) == {} and (tmp_path / 'out.panoptic/photo.png').is_file()
    with pytest.raises(InputError, match='name them by outfile_prefix'):
        metric(data, format_only=True)


def test_metric_refuses_what_it_cannot_compare(data):
    pytest.importorskip('hotcoco')
    with pytest.raises(AnnotationError, match='image 5 is predicted, but not in'):
        predict(metric(data), PREDICTED, img_id=5)
    result = metric(data)
    result.dataset_meta = dict(classes=('cat', 'cow', 'sky', 'grass'))
    with pytest.raises(AnnotationError, match='1 of the classes, cow first, are no categories'):
        predict(result, PREDICTED)
    result = metric(data)
    predict(result, PREDICTED)
    (data / 'pngs/its-segments.png').unlink()
    with pytest.raises(AnnotationError, match='cannot be compared.*check_dataset.py'):
        result.evaluate(1)


def test_a_missing_package_is_named(data, monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'hotcoco', None)
    with pytest.raises(InputError, match='needs the package hotcoco: pip install'):
        metric(data)


@pytest.mark.parametrize(
    ('fault', 'error', 'sentence'),
    [
        (lambda p: p.unlink(), MissingFileError, 'there is no panoptic PNG .*data_prefix.seg'),
        (lambda p: p.write_bytes(p.read_bytes()[:20]), ImageError, 'cannot be decoded'),
        (lambda p: p.write_bytes(b''), ImageError, 'cannot be decoded'),
        (lambda p: cv2.imwrite(str(p), png(TRUTH[:10])), AnnotationError, 'is 10 x 1, but its image 20 x 1'),
        (lambda p: cv2.imwrite(str(p), png(TRUTH)), AnnotationError, 'no pixel has its color'),  # red and blue swapped
    ],
)
def test_faults_of_a_png_get_a_sentence(data, fault, error, sentence):
    fault(data / 'pngs/its-segments.png')
    with pytest.raises(error, match=sentence):
        dataset(data)[0]


def _segment(key, value):
    return lambda content: content['annotations'][0]['segments_info'][0].update({key: value})


@pytest.mark.parametrize(
    ('edit', 'sentence'),
    [
        (_segment('category_id', 99), 'segment 7 of its-segments.png has category_id 99, which none of the 4'),
        (lambda c: c['annotations'][0].update(image_id=9), 'is of image 9, which is not among the images'),
        (lambda c: c['annotations'][0].pop('segments_info'), 'without segments_info.*take a config of CenterMask'),
        (lambda c: c['categories'].pop(0), 'has only 3 of the 4 classes'),
        (lambda c: c['categories'][3].update(isthing=0), 'category cat has isthing=0'),
    ],
)
def test_faults_of_the_json_get_a_sentence(data, edit, sentence):
    change(data, edit)
    with pytest.raises(AnnotationError, match=sentence):
        dataset(data)


def test_panoptic_annotations_are_refused_where_instances_are_wanted(data):
    with pytest.raises(AnnotationError, match='is of panoptic segmentation.*take a config of PanopticCenterMask'):
        CocoInstanceDataset(ann_file=str(data / 'panoptic.json'), data_prefix=dict(img=''))


def test_classes_without_saying_which_are_things_are_refused():
    with pytest.raises(ConfigError, match='does not say which classes are things'):
        PanopticDataset(metainfo=dict(classes=('cat', 'sky')), lazy_init=True)


def test_loader_does_without_panopticapi():
    assert LoadPanopticPNGAnnotations(with_seg=False).with_mask


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    out = tmp_path_factory.mktemp('shapes') / 'made'
    assert make_shapes(out, 6, 2, 64, seed=1, panoptic=True)
    return out


@pytest.fixture
def cfg(shapes):
    cfg = Config.fromfile(CONFIGS / 'panoptic-centermask-lite_v19-slim-dw-ese_fpn_shapes.py')
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].dataset.data_root = str(shapes)
        cfg[f'{split}_evaluator'] = []
    return cfg


def test_drawn_segments_are_the_image(shapes, cfg):
    content = json.loads((shapes / 'annotations/panoptic_train2017.json').read_text())
    kinds = set()
    for entry, image in zip(content['annotations'], content['images'], strict=True):
        ids = decode_segment_ids((shapes / 'annotations/panoptic_train2017' / entry['file_name']).read_bytes())
        assert ids.shape == (image['height'], image['width']) and ids.all()  # no void
        areas = {segment['id']: segment['area'] for segment in entry['segments_info']}
        assert areas == dict(zip(*(values.tolist() for values in np.unique(ids, return_counts=True))))
        kinds |= {segment['category_id'] > 4 for segment in entry['segments_info']}
    assert kinds == {False, True}
    check_data_for_training(cfg)


def test_the_same_arguments_give_the_same_images_and_others_are_not_replaced(shapes):
    assert not make_shapes(shapes, 6, 2, 64, seed=1, panoptic=True, report=lambda line: None)
    with pytest.raises(FileExistsError, match='made with other options'):
        make_shapes(shapes, 6, 2, 64, seed=1)


def rules_broken(cfg):
    (split,) = coco_splits(cfg, ['train'])
    inspection = inspect_dataset(split)
    return {
        name: [finding.detail for finding in those]
        for name, those in inspection.found.items()
        if inspection.is_error(name)
    }


def test_check_finds_what_png_and_json_disagree_on(data, cfg):
    cfg.model.update(num_classes=2, num_stuff_classes=2)
    cfg.train_dataloader.dataset.update(
        data_root='', ann_file=str(data / 'panoptic.json'), metainfo=META, filter_cfg=None,
        data_prefix=dict(img=str(data), seg=str(data / 'pngs')),
    )  # fmt: skip
    assert rules_broken(cfg) == {}
    change(data, lambda content: content['annotations'][0]['segments_info'][0].update(id=8))
    change(data, lambda content: content['categories'][2].update(isthing=1))
    found = rules_broken(cfg)
    assert set(found) == {'png-differs', 'thing-or-stuff'} and len(found['png-differs']) == 2
    assert 'has the id 7, which the JSON does not have' in found['png-differs'][0]
    assert 'no pixel of its id 8' in found['png-differs'][1]
    change(data, lambda content: content['categories'][2].update(isthing=0))
    (data / 'pngs/its-segments.png').unlink()
    cfg.val_cfg = None
    with pytest.raises(MissingFileError, match='there is no panoptic PNG.*unpack'):
        check_data_for_training(cfg)


def test_numbers_of_classes_and_kinds_of_data_are_compared_with_the_model(cfg):
    cfg.model.num_stuff_classes = 53
    with pytest.raises(AnnotationError, match='model.num_classes=4 and model.num_stuff_classes=3'):
        check_data_for_training(cfg)
    cfg.train_dataloader.dataset.update(
        type='CocoInstanceDataset', ann_file='annotations/instances_train2017.json', metainfo=dict(classes=('star',)),
    )  # fmt: skip
    with pytest.raises(AnnotationError, match="CocoInstanceDataset.*take type='PanopticDataset'"):
        check_data_for_training(cfg)
