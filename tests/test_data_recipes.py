"""Data sets besides COCO: their recipes find the files, load them and train on them."""

import json
import os
import shutil
from importlib.util import find_spec

import cv2
import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from mmdet.datasets import CityscapesDataset
from mmdet.evaluation import CocoMetric
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.structures import InstanceData
from tiny_run import ROOT, TRAIN_ANN, VAL_ANN, change_json, make_data, run_tool

from conftest import CONFIGS
from mmcentermask.apis import MissingFileError, check_data_for_training, load_config
from mmcentermask.datasets.config_datasets import leaves
from mmcentermask.evaluation import CityscapesInstanceMetric, LVISInstanceMetric
from mmcentermask.models import SAGMaskHead

NAMES = {
    'cityscapes': 'centermask_v39-ese_fpn_ms-24k_cityscapes',
    'lvis-v1': 'centermask_v39-ese_fpn_ms-2x_lvis-v1',
    'openimages': 'centermask_v39-ese_fpn_ms-6x_openimages',
}
# where each keeps its files: images and annotations, to train on and to validate on
LAYOUTS = {
    'cityscapes': (
        ('leftImg8bit/train', 'annotations/instancesonly_filtered_gtFine_train.json'),
        ('leftImg8bit/val', 'annotations/instancesonly_filtered_gtFine_val.json'),
    ),
    'lvis-v1': (('train2017', 'annotations/lvis_v1_train.json'), ('val2017', 'annotations/lvis_v1_val.json')),
    'openimages': (('train', 'annotations/train.json'), ('validation', 'annotations/validation.json')),
}
needs_lvis = pytest.mark.skipif(find_spec('lvis') is None, reason='the package lvis is not installed')
ALL = ['cityscapes', pytest.param('lvis-v1', marks=needs_lvis), 'openimages']

TINY = """
_base_ = [
    '{root}/configs/_base_/models/centermask-lite_fpn.py',
    '{root}/configs/_base_/datasets/{data}.py',
    '{root}/configs/_base_/schedules/adamw_scratch.py',
    '{root}/configs/_base_/default_runtime.py',
]
model = dict(
    num_classes={num_classes},
    bbox_head=dict(type='CrowdCenterMaskHead'),
    backbone=dict(arch='V-19-slim-dw', norm_cfg=dict(requires_grad=True), norm_eval=False),
    neck=dict(in_channels=[256, 384, 512]),
    # so many classes, so few iterations: what is found is noise, which shall reach the metric
    test_cfg=dict(score_thr=0.005, max_per_img=5),
)
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=2, **loader)
val_dataloader = dict(**loader)
test_dataloader = dict(**loader)
train_cfg = dict(max_iters=2, val_interval=2)
param_scheduler = None
default_hooks = dict(logger=dict(interval=1))
"""


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp('shapes') / 'data')


def lay_out(kind, shapes, folder):
    """Make of the drawn data a folder as another data set's, with a crowd on every image; return the class names."""
    classes = DATASETS.get({'cityscapes': 'CityscapesDataset', 'lvis-v1': 'LVISV1Dataset'}.get(kind, 'CocoDataset'))
    names = list(classes.METAINFO['classes']) if kind != 'openimages' else ['Person', 'Car', 'Tree', 'Flower']
    (folder / 'annotations').mkdir(parents=True)
    for ann_file, (images, target) in zip((TRAIN_ANN, VAL_ANN), LAYOUTS[kind], strict=True):
        (folder / images).parent.mkdir(exist_ok=True)
        shutil.copytree(shapes / ann_file.split('_')[1].removesuffix('.json'), folder / images)
        shutil.copy(shapes / ann_file, folder / target)
        change_json(folder / target, lambda content, images=images: _change(content, kind, names, images))
    if kind == 'openimages':
        (folder / 'annotations/classes.txt').write_text('\n'.join(names) + '\n')
    return names


def _change(content, kind, names, images):
    content['categories'] = [dict(id=i + 1, name=name, frequency='rfc'[i % 3]) for i, name in enumerate(names)]
    if kind == 'lvis-v1':
        for image in content['images']:
            image['coco_url'] = f'http://images.cocodataset.org/{images}/{image.pop("file_name")}'
            image.update(neg_category_ids=[], not_exhaustive_category_ids=[])
        return
    for image in content['images']:
        content['annotations'].append(
            dict(
                id=10000 + image['id'],
                image_id=image['id'],
                category_id=2,
                bbox=[5, 5, 60, 40],
                area=2400,
                iscrowd=1,
                segmentation=[[5, 5, 65, 5, 65, 45, 5, 45]],
            )
        )


def tiny_config(kind, shapes, folder):
    """Write a config that trains two iterations on such a folder, at the size of the drawn images."""
    names = lay_out(kind, shapes, folder / 'data')
    (folder / 'tiny.py').write_text(TINY.format(root=ROOT, data=kind, num_classes=len(names)))
    return folder / 'tiny.py', dict(data_root=str(folder / 'data'))


def small_images(cfg):
    """Leave every image at a long side of 96 pixels."""
    for split in ('train', 'val', 'test'):
        for dataset in leaves(cfg[f'{split}_dataloader'].dataset):
            for transform in dataset.pipeline:
                if 'scales' in transform:
                    transform.scales = [(96, 96)]
                if 'scale' in transform:
                    transform.scale = (96, 96)
    return cfg


@pytest.mark.parametrize('name', ['centermask_v39-ese_fpn_ms-3x_coco', *NAMES.values()])
@pytest.mark.parametrize('by', ['variable', 'option'])
def test_one_setting_moves_every_path(name, by, monkeypatch):
    if by == 'variable':
        monkeypatch.setenv('MMDET_DATASETS', 'some/where')
    cfg = load_config(str(CONFIGS / f'{name}.py'), {} if by == 'variable' else {'data_root': 'some/where'})
    paths = []
    for split in ('train', 'val', 'test'):
        paths += [(dataset.data_root, dataset.ann_file) for dataset in leaves(cfg[f'{split}_dataloader'].dataset)]
    assert len(paths) == 3 and {root for root, _ in paths} == {'some/where'}
    (val_ann,) = {ann for _, ann in paths[1:]}
    for evaluators in (cfg.val_evaluator, cfg.test_evaluator):
        for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
            files = {key: os.path.normpath(evaluator[key]) for key in ('ann_file', 'seg_prefix') if key in evaluator}
            assert files.get('ann_file', f'some/where/{val_ann}') == f'some/where/{val_ann}'
            assert files and all(file.startswith('some/where/') for file in files.values())
    assert "'data/" not in str([cfg[name] for name in cfg if name.endswith(('_dataloader', '_evaluator'))])


@pytest.mark.parametrize('kind', ALL)
def test_the_files_are_found_and_loaded(kind, shapes, tmp_path):
    config, options = tiny_config(kind, shapes, tmp_path)
    cfg = small_images(load_config(str(config), options))
    cfg.val_cfg = None  # its evaluator's package may not be there
    check_data_for_training(cfg)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    data_sample = dataset[0]['data_samples']
    assert data_sample.gt_instances.masks.areas.min() > 0
    crowds = data_sample.ignored_instances
    if kind == 'lvis-v1':
        assert len(crowds) == 0 and len(dataset.metainfo['classes']) == 1203
    else:
        assert crowds.labels.tolist() == [1] and len(data_sample.gt_instances) > 0
    if kind == 'openimages':
        assert dataset.metainfo['classes'] == ['Person', 'Car', 'Tree', 'Flower']


@pytest.mark.slow
@pytest.mark.parametrize('kind', ALL)
def test_training_and_evaluation(kind, shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, options = tiny_config(kind, shapes, tmp_path)
    cfg = small_images(load_config(str(config), options))
    if kind == 'cityscapes':
        cfg.val_evaluator = cfg.test_evaluator = cfg.val_evaluator[:1]  # the other one reads gtFine
    cfg.dump(tmp_path / 'small.py')
    assert run_tool('tools/train.py', 'small.py', '--work-dir', 'run') == 0
    (scalars,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    losses, scores = [line for line in lines if 'loss' in line], lines[-1]
    assert len(losses) == 2 and all(np.isfinite(line['loss']) and line['loss_mask'] > 0 for line in losses)
    prefix = 'lvis/segm_AP' if kind == 'lvis-v1' else 'coco/segm_mAP'
    assert prefix in scores and 0 <= scores[prefix] <= 1


def test_a_missing_package_is_named_before_anything_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('mmcentermask.datasets.config_datasets.find_spec', lambda name: None)
    for kind, package in (('lvis-v1', 'lvis'), ('cityscapes', 'cityscapesScripts')):
        config = CONFIGS / f'{NAMES[kind]}.py'
        assert run_tool('tools/test.py', config, 'none.pth', '--work-dir', tmp_path / 'run') == 1
        assert f'pip install {package}.' in capsys.readouterr().err
        assert not (tmp_path / 'run').exists()


def test_a_missing_file_of_class_names_is_named():
    cfg = load_config(str(CONFIGS / f'{NAMES["openimages"]}.py'), {'data_root': 'no/where'})
    with pytest.raises(MissingFileError, match='no file of class names no/where/annotations/classes.txt'):
        check_data_for_training(cfg)


def test_a_detection_inside_of_a_crowd_is_neither_right_nor_wrong(tmp_path):
    """As openimages.py says: a group-of box as polygon, with iscrowd."""
    square = [[10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]]
    crowd = [[40.0, 40.0, 90.0, 40.0, 90.0, 90.0, 40.0, 90.0]]
    common = dict(image_id=1, category_id=1)
    content = dict(
        images=[dict(id=1, file_name='a.jpg', height=100, width=100)],
        categories=[dict(id=1, name='Person')],
        annotations=[
            dict(id=1, bbox=[10, 10, 20, 20], area=400, iscrowd=0, segmentation=square, **common),
            dict(id=2, bbox=[40, 40, 50, 50], area=2500, iscrowd=1, segmentation=crowd, **common),
        ],
    )
    (tmp_path / 'ann.json').write_text(json.dumps(content))

    def score(second):
        metric = CocoMetric(str(tmp_path / 'ann.json'), metric=['bbox', 'segm'])
        metric.dataset_meta = dict(classes=('Person',))
        boxes = torch.tensor([second, [10.0, 10.0, 30.0, 30.0]])  # the wrong one is the surer one
        masks = [mask_util.merge(mask_util.frPyObjects([[x1, y1, x2, y1, x2, y2, x1, y2]], 100, 100))
                 for x1, y1, x2, y2 in boxes.tolist()]  # fmt: skip
        predictions = dict(bboxes=boxes, scores=torch.tensor([0.9, 0.8]), labels=torch.zeros(2).long(), masks=masks)
        metric.process({}, [dict(img_id=1, ori_shape=(100, 100), pred_instances=predictions)])
        return metric.evaluate(1)

    inside, elsewhere = score([50.0, 50.0, 60.0, 60.0]), score([70.0, 5.0, 90.0, 25.0])
    for kind in ('bbox', 'segm'):
        assert inside[f'coco/{kind}_mAP'] == 1
        assert elsewhere[f'coco/{kind}_mAP'] == pytest.approx(0.5, abs=0.01)


def test_the_memory_that_the_documentation_names_for_lvis():
    """Two images of at most 128 RoIs each in training, fp32."""
    told = (ROOT / 'docs/recipes.md').read_text()
    cfg = Config.fromfile(CONFIGS / f'{NAMES["lvis-v1"]}.py')
    assert cfg.train_dataloader.batch_size * cfg.model.train_cfg.rcnn.sampler.num == 256
    with torch.device('meta'):
        head, x = SAGMaskHead(num_classes=1203), torch.zeros(256, 256, 14, 14)
        own, every = head(x, torch.zeros(256, dtype=torch.long)), head(x)
    assert f'{own.numel() * 4 / 1e6:.1f} MB' == '0.8 MB' and '0.8 MB of mask logits' in told
    assert f'{every.numel() * 4 / 1e9:.2f} GB' == '0.97 GB' and '0.97 GB' in told


@pytest.mark.parametrize(
    'kind, name, stand_in',
    [(LVISInstanceMetric, 'float', float), (CityscapesInstanceMetric, 'in1d', vars(np).get('in1d', np.isin))],
)
def test_a_metric_gets_the_name_that_numpy_has_no_longer(kind, name, stand_in, monkeypatch):
    seen = []
    monkeypatch.setattr(kind.__bases__[0], 'compute_metrics', lambda self, results: seen.append(getattr(np, name)))
    before = np.__dict__.get(name)
    metric = object.__new__(kind)
    metric.tmp_dir = None  # mmdet looks at it when a metric goes
    metric.compute_metrics([])
    assert seen == [stand_in] and np.__dict__.get(name) is before


@pytest.mark.skipif(find_spec('cityscapesscripts') is None, reason='the package cityscapesScripts is not installed')
def test_cityscapes_own_metric(tmp_path):
    """Two objects, found exactly."""
    for folder in ('leftImg8bit', 'gtFine'):
        (tmp_path / folder / 'val/city').mkdir(parents=True)
    masks = torch.zeros(2, 60, 80, dtype=torch.bool)
    masks[0, 5:25, 5:40] = masks[1, 30:55, 20:70] = True
    pixels = np.zeros((60, 80), np.uint16)
    pixels[masks[0]], pixels[masks[1]] = 26000, 24000  # a car and a person
    cv2.imwrite(str(tmp_path / 'gtFine/val/city/a_gtFine_instanceIds.png'), pixels)
    metric = CityscapesInstanceMetric(str(tmp_path / 'out'), seg_prefix=str(tmp_path / 'gtFine/val'))
    metric.dataset_meta = CityscapesDataset.METAINFO
    scores = torch.tensor([0.9, 0.8])
    predictions = dict(masks=masks, labels=torch.tensor([2, 0]), scores=scores, mask_scores=scores)
    path = str(tmp_path / 'leftImg8bit/val/city/a_leftImg8bit.png')
    metric.process({}, [dict(img_path=path, pred_instances=predictions)])
    assert metric.evaluate(1) == {'cityscapes/mAP': 1, 'cityscapes/AP@50': 1}


def test_an_annotation_without_a_mask_is_no_object(shapes, tmp_path):
    """Open Images has group-of boxes without a mask."""
    config, options = tiny_config('openimages', shapes, tmp_path)

    def without(content):
        for annotation in content['annotations']:
            if annotation['iscrowd']:
                annotation['segmentation'] = []

    change_json(tmp_path / 'data' / LAYOUTS['openimages'][0][1], without)
    dataset = DATASETS.build(small_images(load_config(str(config), options)).train_dataloader.dataset)
    data_sample = dataset[0]['data_samples']
    assert data_sample.ignored_instances.labels.tolist() == [1]
    assert isinstance(data_sample.gt_instances, InstanceData) and len(data_sample.gt_instances) > 0
