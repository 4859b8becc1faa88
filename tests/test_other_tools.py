"""Other tools, their real packages, take our models and files with every mask. `make test-slow` installs them."""

import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from test_instances import found, shapes
from tiny_run import ROOT

from mmcentermask import Segmenter
from mmcentermask.apis import CenterMaskInferencer

sys.path.append(str(Path(sys.prefix, 'others')))  # where `make test-slow` puts them
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """A config, untrained weights whose masks fill their boxes, and an image in which they find 6 objects."""
    folder = tmp_path_factory.mktemp('model')
    config = folder / 'own.py'
    base = ROOT / 'configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_shapes.py'
    test_cfg = dict(score_thr=0.0, max_per_img=6, nms=dict(iou_threshold=0.3))
    config.write_text(f'_base_ = {str(base)!r}\nmodel = dict(test_cfg={test_cfg})\n')
    torch.manual_seed(0)
    cfg = Config.fromfile(config)
    built = MODELS.build(cfg.model)
    built.init_weights()
    torch.nn.init.constant_(built.bbox_head.conv_reg.bias, 3)  # boxes of several pixels
    torch.nn.init.constant_(built.roi_head.mask_head.conv_logits.bias, 3)
    meta = dict(dataset_meta=dict(classes=cfg.metainfo.classes))
    torch.save(dict(state_dict=built.state_dict(), meta=meta), folder / 'weights.pth')
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8), (0, 0), 3)
    return str(config), str(folder / 'weights.pth'), image


@pytest.fixture
def written(tmp_path):
    """What is found in an image, with the image: a disc with a hole, and an object of two parts."""
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((40, 60, 3), np.uint8))
    return found(file_name=str(tmp_path / 'a.png'))[:2]


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def test_sahi(model):
    sahi = pytest.importorskip('sahi')
    from sahi.predict import get_prediction, get_sliced_prediction

    config, weights, image = model
    detector = sahi.AutoDetectionModel.from_pretrained(
        'mmdet', model_path=weights, config_path=config, confidence_threshold=0.0, device='cpu'
    )
    objects = get_prediction(image[..., ::-1], detector).object_prediction_list
    ours = Segmenter(config, weights, device='cpu').predict(image, threshold=0)
    assert len(objects) == len(ours) == 6
    for theirs, mask, name in zip(objects, ours.masks(), ours.names):
        assert overlap(theirs.mask.bool_mask, mask) > 0.9 and theirs.category.name == name
    sliced = get_sliced_prediction(image[..., ::-1], detector, slice_height=96, slice_width=96, verbose=0)
    assert len(sliced.object_prediction_list) > 6 and all(one.mask is not None for one in sliced.object_prediction_list)


def test_supervision_from_mmdetection(model):
    supervision = pytest.importorskip('supervision')
    config, weights, image = model
    inferencer = CenterMaskInferencer(config, weights, device='cpu')
    sample = inferencer(image, return_datasamples=True)['predictions'][0]
    detections = supervision.Detections.from_mmdetection(sample)
    ours = Segmenter(config, weights, device='cpu').predict(image, threshold=0)
    assert np.array_equal(detections.mask, ours.masks()) and ours.masks().any(axis=(1, 2)).all()
    assert np.array_equal(detections.confidence, ours.scores) and np.array_equal(detections.class_id, ours.labels)


def test_supervision_inference_slicer(model):
    supervision = pytest.importorskip('supervision')
    config, weights, image = model
    segmenter = Segmenter(config, weights, device='cpu', max_per_img=2)
    slicer = supervision.InferenceSlicer(
        lambda tile: segmenter.predict(np.ascontiguousarray(tile), threshold=0).to_supervision(),
        slice_wh=128,
        overlap_wh=0,
        overlap_filter=supervision.OverlapFilter.NONE,
    )
    detections = slicer(np.concatenate([image, image], axis=1))
    once = segmenter.predict(image, threshold=0)
    masks = np.asarray(detections.mask)
    assert masks.shape == (4, 128, 256) and detections.class_id.tolist() == once.labels.tolist() * 2
    expected = np.pad(once.masks(), ((0, 0), (0, 0), (0, 128)))
    assert np.array_equal(masks, np.concatenate([expected, np.roll(expected, 128, axis=2)]))


def test_labelme(written, tmp_path, monkeypatch):
    for module in ('PyQt5', 'PyQt5.QtCore', 'PyQt5.QtGui', 'PyQt5.QtWidgets'):
        monkeypatch.setitem(sys.modules, module, MagicMock())  # files are read without a window
    label_file = pytest.importorskip('labelme._label_file')
    from labelme.utils import shapes_to_label

    written.save(tmp_path / 'a.json', form='labelme')
    read = label_file.read_label_file(str(tmp_path / 'a.json'))
    assert read.image_path == 'a.png' and [shape['label'] for shape in read.shapes] == ['dog', 'cat', 'cat']
    _, numbers = shapes_to_label((40, 60), read.shapes, dict(cat=1, dog=2))
    ring, parts = shapes()[:2]
    assert np.array_equal(numbers == 1, ring & (numbers != 2)) and len(np.unique(numbers)) == 3
    # its polygons include the pixels right and below of their edges
    assert overlap(numbers == 2, parts) > 0.75 and (numbers == 2)[parts].all()


def test_datumaro_which_reads_coco_for_cvat(written, tmp_path):
    components = pytest.importorskip('datumaro.components.dataset')
    (tmp_path / 'annotations').mkdir()
    content = written.to_coco()
    content['images'][0]['file_name'] = 'a.png'
    (tmp_path / 'annotations/instances_default.json').write_text(json.dumps(content))
    (tmp_path / 'images/default').mkdir(parents=True)
    (tmp_path / 'a.png').rename(tmp_path / 'images/default/a.png')
    dataset = components.Dataset.import_from(str(tmp_path), 'coco_instances')
    (item,) = dataset
    names = [category.name for category in next(iter(dataset.categories().values())).items]
    masks = sorted((one for one in item.annotations if hasattr(one, 'image')), key=lambda one: one.id)
    assert [names[one.label] for one in masks] == ['dog', 'cat']
    for theirs, mask in zip(masks, shapes()):
        assert np.array_equal(theirs.image.astype(bool), mask)
