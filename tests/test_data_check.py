"""What training and testing find out about their data before they begin, and that following the advice helps."""

import json
import re

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.registry import DATASETS, METRICS
from test_check_dataset import USE, ann, img, square, whole, with_orientation
from tiny_run import TRAIN_ANN, VAL_ANN, change_json, make_data, run_tool, write_config

from mmcentermask.apis import AnnotationError, ImageError, check_data_for_testing, check_data_for_training, load_config
from mmcentermask.datasets import CLASSES, CocoInstanceDataset
from mmcentermask.datasets.annotation_tables import CocoSplit, CocoTables
from mmcentermask.datasets.coco import read_coco
from mmcentermask.datasets.config_datasets import coco_splits
from mmcentermask.datasets.data_check import compare_splits
from mmcentermask.datasets.inspection import inspect_dataset
from mmcentermask.evaluation import CocoInstanceMetric

PLAIN = {
    'train_dataloader.dataset.type': 'CocoDataset',
    'val_dataloader.dataset.type': 'CocoDataset',
    'val_evaluator.type': 'CocoMetric',
}
OURS = {
    'train_dataloader.dataset.type': 'CocoInstanceDataset',
    'val_dataloader.dataset.type': 'CocoInstanceDataset',
    'val_evaluator.type': 'CocoInstanceMetric',
}


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp('drawn') / 'data')


@pytest.fixture
def bench(tmp_path, drawn):
    """A config and its own copy of the annotations, beside images that nobody changes."""
    (tmp_path / 'data/annotations').mkdir(parents=True)
    for name in (TRAIN_ANN, VAL_ANN):
        (tmp_path / 'data' / name).write_bytes((drawn / name).read_bytes())
    for split in ('train2017', 'val2017'):
        (tmp_path / 'data' / split).symlink_to(drawn / split)
    write_config(tmp_path / 'tiny.py', tmp_path / 'data')
    return tmp_path


def trained(bench, options=None):
    check_data_for_training(load_config(str(bench / 'tiny.py'), options))


def refusal(bench, options=None, kind=AnnotationError):
    with pytest.raises(kind) as caught:
        trained(bench, options)
    return str(caught.value)


def edit(bench, name, change):
    change_json(bench / 'data' / name, change)


def every(**values):
    return lambda content: [annotation.update(values) for annotation in content['annotations']]


def test_whole_data_is_taken_without_a_word(bench, capsys):
    edit(bench, VAL_ANN, lambda c: c['categories'].sort(key=lambda category: category['id']))
    trained(bench)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith('warning') and 'class without' not in line] == []


@pytest.mark.parametrize('name', [TRAIN_ANN, VAL_ANN])
@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (every(iscrowd=1), ['no object is left', 'iscrowd is 1', 'are crowds', 'annotations[0] (id ']),
        (every(iscrowd='no'), ['iscrowd is "no"', 'annotations[0] (id ', 'unquoted']),
        (every(bbox=[]), ['bbox is []', '[x, y, width, height]']),
        (every(image_id='1'), ['image_id "1" is text', 'the id 1 of the image is a number']),
        (lambda c: img(1, id=c['images'][0]['id'])(c), ['same id', 'images[1]']),
        (lambda c: [image.update(height=0) for image in c['images']], ['height is 0', 'images[0]']),
        (lambda c: [image.update(height=str(image['height'])) for image in c['images']], ['height is "']),
        (every(segmentation=dict(size=[1, 1], counts='1')), ['RLE is for another image size', '1 high and 1 wide']),
        (
            lambda c: c['categories'].insert(0, dict(id=0, name='star')),
            ['same name', 'id 0 has 0 objects', 'take the one without objects out'],
        ),
    ],
    ids=['crowds', 'text', 'no box', 'text id', 'image twice', 'size 0', 'text size', 'RLE size', 'name twice'],
)
def test_what_is_refused_in_either_file(bench, name, change, words):
    edit(bench, name, change)
    sentence = refusal(bench)
    assert [word for word in [name, *words] if word not in sentence] == []


def test_masks_that_the_first_validation_would_miss(bench):
    edit(bench, VAL_ANN, ann(0, segmentation=None))
    assert 'segmentation is null' in refusal(bench)
    edit(bench, VAL_ANN, ann(0, segmentation=[[10, 10, 20, 20]]))
    assert 'fewer than 3 points' in refusal(bench)
    trained(bench, {'val_evaluator.metric': 'bbox'})


def test_all_masks_missing_in_training(bench):
    edit(bench, TRAIN_ANN, every(segmentation=[[]]))
    sentence = refusal(bench)
    assert 'segmentation is [[]]' in sentence and 'have no mask' in sentence


@pytest.mark.parametrize('name', [TRAIN_ANN, VAL_ANN])
def test_masks_without_a_pixel(bench, name):
    def empty(content):
        sizes = {image['id']: [image['height'], image['width']] for image in content['images']}
        for annotation in content['annotations']:
            height, width = sizes[annotation['image_id']]
            annotation['segmentation'] = dict(size=[height, width], counts=[height * width])

    edit(bench, name, empty)
    sentence = refusal(bench)
    assert name in sentence and ('have no mask' if name == TRAIN_ANN else 'covers no pixel') in sentence


def test_masks_are_not_asked_for_where_nothing_reads_them(bench):
    """A dataset of boxes, for a detector of boxes."""
    for name in (TRAIN_ANN, VAL_ANN):
        edit(bench, name, every(segmentation=None))
    cfg = load_config(str(bench / 'tiny.py'), {'val_evaluator.metric': 'bbox'})
    cfg.train_dataloader.dataset.pipeline[1] = dict(type='LoadAnnotations', with_bbox=True)
    cfg.val_dataloader.dataset.pipeline[2] = dict(type='LoadAnnotations', with_bbox=True)
    check_data_for_training(cfg)


def reverse(content):
    content['categories'].reverse()


def test_the_order_of_categories_is_free_in_our_dataset(bench):
    """The labels of both files follow the classes, and so does the metric."""
    edit(bench, VAL_ANN, reverse)
    trained(bench, OURS)
    cfg = load_config(str(bench / 'tiny.py'), OURS)
    for split in ('train', 'val'):
        dataset = DATASETS.build(cfg[f'{split}_dataloader'].dataset)
        assert dataset.cat_ids == [1, 2, 3, 4]
    metric = METRICS.build(cfg.val_evaluator)
    assert metric._coco_api.get_cat_ids(cat_names=CLASSES) == [1, 2, 3, 4]
    other = ('star', 'ellipse')
    assert metric._coco_api.get_cat_ids(cat_names=list(other)) == [4, 1]


def test_an_order_of_ones_own(bench):
    """The labels are places in `classes`, whatever the file says."""
    mine = ('star', 'ellipse', 'triangle', 'rectangle')
    dataset = CocoInstanceDataset(
        ann_file=str(bench / 'data' / TRAIN_ANN), data_prefix=dict(img=''), metainfo=dict(classes=mine), pipeline=[]
    )
    content = json.loads((bench / 'data' / TRAIN_ANN).read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    wanted = {a['image_id']: [] for a in content['annotations']}
    for annotation in content['annotations']:
        wanted[annotation['image_id']].append(names[annotation['category_id']])
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        found = [mine[instance['bbox_label']] for instance in info['instances']]
        assert sorted(found) == sorted(wanted.get(info['img_id'], []))


def test_following_the_advice_on_the_order_of_categories(bench):
    edit(bench, VAL_ANN, reverse)
    sentence = refusal(bench, PLAIN)
    dataset, metric = re.findall(r"type='(\w+)'", sentence)
    advice = {k: metric if 'evaluator' in k else dataset for k in PLAIN}
    trained(bench, advice)
    assert 'one order' in sentence
    edit(bench, VAL_ANN, reverse)
    trained(bench, PLAIN)


def score(folder, content, classes, missed=''):
    """Score exact boxes, but for those of one class, against a file; twice, as a run that validates again does."""
    (folder / 'ann.json').write_text(json.dumps(content))
    metric = CocoInstanceMetric(str(folder / 'ann.json'), classwise=True)
    metric.dataset_meta = dict(classes=classes)
    for _ in range(2):
        for image in content['images']:
            mine = [a for a in content['annotations'] if a['image_id'] == image['id']]
            mine = [a for a in mine if CLASSES[a['category_id'] - 1] != missed]
            boxes = torch.tensor([a['bbox'] for a in mine], dtype=torch.float32).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            labels = torch.tensor([classes.index(CLASSES[a['category_id'] - 1]) for a in mine])
            instances = dict(bboxes=boxes, scores=torch.ones(len(mine)), labels=labels)
            metric.process({}, [dict(img_id=image['id'], ori_shape=(40, 60), pred_instances=instances)])
        found = metric.evaluate(4)
    return found


def test_the_metric_follows_the_classes(tmp_path):
    """Exact predictions have an AP of 1 in any order of the categories and of the classes."""
    content = whole()
    content['categories'].reverse()
    for classes in (CLASSES, CLASSES[::-1], ('star', 'ellipse', 'triangle', 'rectangle')):
        assert score(tmp_path, content, classes)['coco/bbox_mAP'] == 1
        found = score(tmp_path, content, classes, missed='star')
        assert {name: found[f'coco/{name}_precision'] for name in CLASSES} == {**dict.fromkeys(CLASSES, 1), 'star': 0}


def test_class_wise_scores_need_the_order_of_the_ids_in_mmdet_only(bench):
    mine = {f'{split}_dataloader.dataset.metainfo.classes': CLASSES[::-1] for split in ('train', 'val')}
    trained(bench, {**OURS, **mine, 'val_evaluator.classwise': True})
    for name in (TRAIN_ANN, VAL_ANN):
        edit(bench, name, reverse)
    sentence = refusal(bench, {**PLAIN, **mine, 'val_evaluator.classwise': True})
    assert 'classwise=True' in sentence and "type='CocoInstanceMetric'" in sentence


def numbers_as_text(annotation):
    box = [str(value) for value in annotation['bbox']]
    annotation.update(iscrowd=str(annotation['iscrowd']), area=str(annotation['area']), bbox=box)


def test_numbers_of_objects_that_are_text_are_read_alike(bench, capsys):
    """The check, the dataset and the metric see the file without the quotes; mmdet's cannot, and it is refused."""
    before = DATASETS.build(load_config(str(bench / 'tiny.py'), OURS).train_dataloader.dataset)
    for name in (TRAIN_ANN, VAL_ANN):
        edit(bench, name, lambda c: [numbers_as_text(annotation) for annotation in c['annotations']])
    trained(bench, OURS)
    warnings = [line for line in capsys.readouterr().err.splitlines() if 'read as a number' in line]
    assert len(warnings) == 2 and 'area is "' in warnings[0] and TRAIN_ANN in warnings[0]
    after = DATASETS.build(load_config(str(bench / 'tiny.py'), OURS).train_dataloader.dataset)
    assert [after.get_data_info(i)['instances'] for i in range(len(after))] == [
        before.get_data_info(i)['instances'] for i in range(len(before))
    ]
    assert 'area is "' in refusal(bench, PLAIN)


def test_ids_of_objects_are_numbered_anew_for_the_score(tmp_path):
    """COCOeval takes an id of 0 for no match, fails on text and on an object without iscrowd."""
    content = whole()
    for i, annotation in enumerate(content['annotations']):
        annotation['id'] = str(i) if i % 2 else i
        annotation.pop('iscrowd')
    assert score(tmp_path, content, CLASSES)['coco/bbox_mAP'] == 1


def test_category_names_that_are_numbers(bench):
    """The advice of the first sentence leads to the second, and that of the second to a run."""

    def numbered(content):
        for i, category in enumerate(content['categories']):
            category['name'] = i

    for name in (TRAIN_ANN, VAL_ANN):
        edit(bench, name, numbered)
    assert 'name is 0' in refusal(bench)

    def quoted(content):
        for category in content['categories']:
            category['name'] = str(category['name'])

    for name in (TRAIN_ANN, VAL_ANN):
        edit(bench, name, quoted)
    numbers = {f'{split}_dataloader.dataset.metainfo.classes': [0, 1, 2, 3] for split in ('train', 'val')}
    sentence = refusal(bench, numbers)
    (classes,) = re.findall(r'classes=(\(.*?\))\)', sentence)
    assert eval(classes) == ('0', '1', '2', '3')
    trained(bench, {key: eval(classes) for key in numbers})


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-16-be'])
@pytest.mark.parametrize('name', [TRAIN_ANN, VAL_ANN])
def test_encodings(bench, encoding, name):
    """Ours reads it; mmdet's cannot, and following the advice helps."""
    path = bench / 'data' / name
    text = path.read_text()
    path.write_bytes((text if encoding != 'utf-16-be' else '\ufeff' + text).encode(encoding))
    sentence = refusal(bench, PLAIN)
    assert name in sentence and 'save it as plain UTF-8' in sentence
    trained(bench, OURS)
    cfg = load_config(str(bench / 'tiny.py'), OURS)
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) and METRICS.build(cfg.val_evaluator)
    path.write_text(text)
    trained(bench, PLAIN)


@pytest.fixture
def photos(tmp_path):
    """Photographs with an EXIF orientation, annotated as they are stored, for training and for validation."""
    (tmp_path / 'data/annotations').mkdir(parents=True)
    for split, name in (('train2017', TRAIN_ANN), ('val2017', VAL_ANN)):
        (tmp_path / 'data' / split).mkdir()
        content = whole()
        for i, image in enumerate(content['images']):
            image['file_name'] = f'{i}.jpg'
            with_orientation(tmp_path / 'data' / split / f'{i}.jpg', 6)
        (tmp_path / 'data' / name).write_text(json.dumps(content))
    write_config(tmp_path / 'tiny.py', tmp_path / 'data')
    return tmp_path


def test_following_the_advice_on_turned_photographs(photos):
    sentence = refusal(photos)
    assert '0.jpg' in sentence and '(and 3 more)' in sentence and 'EXIF orientation' in sentence
    (option,) = re.findall(r'--cfg-options (\S+)', sentence)
    key, value = option.rstrip(',').split('=')
    assert 'val2017/0.jpg' in refusal(photos, {key: value})
    options = {key: value, key.replace('train_', 'val_'): value, key.replace('train_', 'test_'): value}
    trained(photos, options)
    check_data_for_testing(load_config(str(photos / 'tiny.py'), options))
    cfg = load_config(str(photos / 'tiny.py'), options)
    assert DATASETS.build(cfg.train_dataloader.dataset)[0]['data_samples'].ori_shape == (40, 60)


def test_the_same_file_twice(bench, capsys):
    train = str(bench / 'data' / TRAIN_ANN)
    options = {
        'val_dataloader.dataset.ann_file': train,
        'val_dataloader.dataset.data_prefix.img': 'train2017/',
        'val_evaluator.ann_file': train,
    }
    trained(bench, options)
    warnings = [line for line in capsys.readouterr().err.splitlines() if 'both trained on and scored' in line]
    assert len(warnings) == 1 and TRAIN_ANN in warnings[0] and '6 of the 6 images' in warnings[0]
    args = [f'{key}={value}' for key, value in options.items()]
    run_tool('tools/check_dataset.py', bench / 'tiny.py', '--cfg-options', *args)
    assert 'both trained on and scored' in capsys.readouterr().out
    trained(bench)
    assert 'both trained on' not in capsys.readouterr().err


def test_some_images_in_both_files(bench, capsys):
    """Another file with an image of the training set: 1 of 2 says nothing about other images."""
    edit(bench, VAL_ANN, lambda c: c['images'][0].update(file_name='../train2017/000000000001.jpg'))
    edit(bench, VAL_ANN, lambda c: c['images'][0].update(height=64, width=96))
    cfg = load_config(str(bench / 'tiny.py'))
    splits = coco_splits(cfg, ['train', 'val'])
    (line,) = compare_splits([inspect_dataset(split, dear=False) for split in splits])
    assert '1 of the 2 images' in line and 'train2017/000000000001.jpg' in line and VAL_ANN in line


def test_sizes_written_as_floats(bench):
    """pycocotools decodes no mask at a size of 96.0: ours reads it as 96, and mmdet's is refused beforehand."""
    edit(bench, VAL_ANN, lambda c: [i.update(height=float(i['height']), width=float(i['width'])) for i in c['images']])
    assert 'height is ' in refusal(bench, PLAIN)
    trained(bench, OURS)
    coco = METRICS.build(load_config(str(bench / 'tiny.py'), OURS).val_evaluator)._coco_api
    assert all(coco.annToMask(annotation).any() for annotation in coco.anns.values())


def test_an_evaluator_of_another_file(bench):
    """Its images are not those that are predicted."""
    train = str(bench / 'data' / TRAIN_ANN)
    edit(bench, TRAIN_ANN, lambda c: [image.update(id=image['id'] + 100) for image in c['images']])
    edit(bench, TRAIN_ANN, lambda c: [a.update(image_id=a['image_id'] + 100) for a in c['annotations']])
    sentence = refusal(bench, {'val_evaluator.ann_file': train})
    assert 'lacks 2 of the images' in sentence
    (advice,) = re.findall(r'set val_evaluator.ann_file=(\S+)\.$', sentence)
    trained(bench, {'val_evaluator.ann_file': advice})


def test_no_check_leaves_the_check_out(bench, monkeypatch):
    monkeypatch.chdir(bench)
    edit(bench, TRAIN_ANN, every(iscrowd=1))
    args = ['tiny.py', '--work-dir', 'run', '--cfg-options', 'train_cfg.max_iters=1', 'val_cfg=None']
    args += ['val_dataloader=None', 'val_evaluator=None']
    assert run_tool('tools/train.py', *args) == 1 and not (bench / 'run').exists()
    assert run_tool('tools/train.py', *args, '--no-check') == 0


def test_deep_images_are_refused(photos):

    options = {
        f'{split}_dataloader.dataset.pipeline.0.color_type': 'color_ignore_orientation' for split in ('train', 'val')
    }
    cv2.imwrite(str(photos / 'data/val2017/3.png'), np.full((40, 60, 3), 4000, np.uint16))
    edit(photos, VAL_ANN, img(3, file_name='3.png'))
    assert 'values up to 4000' in refusal(photos, options, ImageError)


values = st.sampled_from
objects = st.fixed_dictionaries(
    dict(
        image_id=values([10, 10, 11, 99]),
        category_id=values([1, 2, 9]),
        iscrowd=values([0, 0, 0, 1]),
        ignore=values([0, 0, 0, 1]),
        area=values([100.0, 100.0, 0]),
        bbox=values(
            [[4, 5, 10, 10], [4, 5, 10, 10], [4, 5, 0.5, 10], [60, 5, 10, 10], [-20, 5, 10, 10], [55, 35, 9, 9]]
        ),
        segmentation=values(
            [[square(4, 5, 10)], [square(4, 5, 10), [4, 5]], [[4, 5, 14, 15]], [[]], [], None]
            + [dict(size=[40, 60], counts=[2400]), dict(size=[40, 60], counts=[100, 9, 2291])]
        ),
    )
)


@given(st.lists(objects, max_size=5))
@settings(max_examples=40, deadline=None)
def test_objects_are_counted_as_the_pipeline_sees_them(tmp_path_factory, drawn_objects):
    folder = tmp_path_factory.getbasetemp() / 'counted'
    folder.mkdir(exist_ok=True)
    content = whole()
    content['images'] = content['images'][:2]
    content['images'][1].update(height=20)
    content['annotations'] = [dict(entry, id=i + 1) for i, entry in enumerate(drawn_objects)]
    (folder / 'ann.json').write_text(json.dumps(content))
    dataset = CocoInstanceDataset(
        ann_file=str(folder / 'ann.json'),
        data_prefix=dict(img=''),
        metainfo=dict(classes=('ellipse', 'rectangle')),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=[dict(type='LoadInstanceAnnotations')],
        serialize_data=False,
    )
    seen = 0
    for info in dataset.data_list:
        results = dataset.pipeline(dict(info, ori_shape=(info['height'], info['width']), img_shape=(40, 60)))
        seen += int((~results['gt_ignore_flags']).sum())
    split = CocoSplit('train', str(folder / 'ann.json'), **{**USE, 'classes': ('ellipse', 'rectangle'), 'min_size': 32})
    tables = CocoTables(read_coco(split.ann_file), split)
    assert tables.usable[0].sum() == seen


def test_what_a_config_asks_of_each_file(bench):
    cfg = load_config(str(bench / 'tiny.py'))
    train, val = coco_splits(cfg, ['train', 'val'])
    assert (train.trained, train.scored, train.masks, train.masks_needed) == (True, False, True, False)
    assert (val.trained, val.scored, val.masks_scored, val.masks_needed) == (False, True, True, True)
    assert (train.min_size, train.skip_empty, val.min_size, val.skip_empty) == (32, True, 0, False)
    assert [len(coco_splits(cfg, names)) for names in (['val', 'test'], ['test'])] == [1, 1]
