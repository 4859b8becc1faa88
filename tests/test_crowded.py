"""Hundreds of objects in one picture: what the limits cut off, and that it is said."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from test_many_images import segmenter
from tiny_run import find_something, load_tool, make_data, run_tool

from mmcentermask import Segmenter
from mmcentermask.errors import AnnotationError, InputError
from mmcentermask.structures import encode_crop

NUMBER, PITCH = 32, 16  # boxes of 8 x 8 pixels, 16 apart
SIDE = NUMBER * PITCH
TOOL = 'tools/analysis_tools/benchmark_large.py'
benchmark_large = load_tool(TOOL)


def leave_drawn_boxes(model):
    """Let the head see a grid of boxes at its finest level, the first row best; return the boxes."""
    logits = torch.full((1, 4, SIDE // 8, SIDE // 8), -20.0)
    logits[0, 0, ::2, ::2] = torch.linspace(6, 3, NUMBER**2).reshape(NUMBER, NUMBER)
    levels = [logits] + [torch.full((1, 4, SIDE // s, SIDE // s), -20.0) for s in (16, 32, 64, 128)]
    half = [torch.full((1, 4, *level.shape[2:]), 0.5) for level in levels]  # of a stride, to each side
    center = [torch.full((1, 1, *level.shape[2:]), 20.0) for level in levels]
    model.bbox_head.forward = lambda features: (levels, half, center)
    y, x = (
        PITCH * torch.arange(NUMBER**2).div(NUMBER, rounding_mode='floor'),
        PITCH * (torch.arange(NUMBER**2) % NUMBER),
    )
    return torch.stack([x, y, x + 8, y + 8], dim=1).numpy()


@pytest.mark.slow
@pytest.mark.parametrize('limit, number', [(300, 300), (2000, 1024)])
def test_a_thousand_objects_in_one_picture(tmp_path, capsys, limit, number):
    config, weights = find_something(tmp_path)
    scale = {'test_dataloader.dataset.pipeline.1.scale': (SIDE, SIDE)}
    made = Segmenter(config, weights, device='cpu', max_per_img=limit, cfg_options=scale)
    boxes = leave_drawn_boxes(made._model.inferencer.model)
    found = made.predict(np.zeros((SIDE, SIDE, 3), np.uint8), threshold=0.3)
    np.testing.assert_allclose(found.boxes, boxes[:number], atol=1e-3)
    assert len(found.rle) == number and ('reached the limit' in capsys.readouterr().err) == (number == 300)


def test_a_limit_that_is_reached_is_told_once(capsys, tmp_path):
    made = segmenter()
    made._model.max_per_img = 1
    image = str(tmp_path / 'a.png')
    cv2.imwrite(image, np.zeros((10, 12, 3), np.uint8))
    assert [len(found) for found in made.predict([image, image], threshold=0.8)] == [0, 0]
    assert capsys.readouterr().err == ''  # what was cut off had no more
    made.predict([image, image])
    made.predict(image)
    told = capsys.readouterr().err
    assert told.count('note: an image reached the limit of 1 objects') == 1 and 'raise max_per_img' in told


def code(x, y, side=10):
    return encode_crop(np.ones((side, side), bool), x, y, 40, 40)


def test_matching_counts_each_object_once():
    truth = [code(0, 0), code(20, 20), code(0, 20)]
    found = [code(1, 0), code(0, 0), code(20, 21), code(30, 0), code(0, 20, 20)]
    assert benchmark_large.match_masks(found, truth) == (2 / 3, 1, 2)
    assert benchmark_large.match_masks([], truth) == (0, 0, 0)


def test_a_mosaic_knows_its_objects(tmp_path):
    make_data(tmp_path)
    coco = COCO(tmp_path / 'annotations/instances_train2017.json')
    mosaic, codes = benchmark_large.make_mosaic(coco, tmp_path / 'train2017', 300, 3, cell=96)
    assert mosaic.shape == (300, 300, 3) and len(codes) >= 3 and all(code['size'] == [300, 300] for code in codes)
    on_ground = [mask_api.decode(code).astype(bool) & (mosaic == 114).all(axis=2) for code in codes]
    assert all(mask.sum() < 0.05 * mask_api.area(code) for mask, code in zip(on_ground, codes))
    with pytest.raises(AnnotationError, match='have room for'):
        benchmark_large.make_mosaic(coco, tmp_path / 'train2017', 100, 100, cell=96)


@pytest.mark.parametrize(
    ('wrong', 'told'),
    [
        (['--ways', 'titles'], "--ways has 'titles'"),
        (['--ways', 'whole:x'], "--ways has 'whole:x'"),
        (['--objects', '1', '2'], 'give pairs'),
        (['--annotations', 'no.json'], 'there is no annotation file no.json: give a COCO file'),
    ],
)
def test_bad_options(wrong, told, capsys):
    options = ['a.py', 'b.pth', '--annotations', __file__, '--sides', '300', '--objects', '3', *wrong]
    assert run_tool(TOOL, *options) == 1
    error = capsys.readouterr().err
    assert told in error and error.count('\n') == 1


def test_without_sahi(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sahi', None)
    with pytest.raises(InputError, match='--ways sahi needs the package sahi, .*: pip install sahi'):
        benchmark_large._sahi(SimpleNamespace(), 128)
