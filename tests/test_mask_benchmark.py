"""The timing of pasting: what is timed does the same work. Nothing depends on how long it takes."""

import json

import pytest
import torch
from tiny_run import change_json, load_tool, run_tool

from mmcentermask.apis import AnnotationError

TOOL = 'tools/analysis_tools/benchmark_masks.py'
benchmark_masks = load_tool(TOOL)


def test_drawn_objects():
    found = benchmark_masks.draw_mask_logits(20, (300, 400), sides=(30, 900), whole=2)
    assert found.logits.shape == (22, 1, 28, 28) and found.boxes.shape == (22, 4) and found.size == (300, 400)
    width, height = (found.boxes[:, 2:] - found.boxes[:, :2]).unbind(dim=1)
    assert found.boxes.min() >= 0 and found.boxes[:, 2].max() <= 400 and found.boxes[:, 3].max() <= 300
    assert min(width.min(), height.min()) >= 29.99
    assert found.boxes[20:].tolist() == [[0, 0, 400, 300]] * 2
    assert torch.equal(found.logits, benchmark_masks.draw_mask_logits(20, (300, 400), sides=(30, 900), whole=2).logits)
    inside = (found.logits > 0).float().mean()
    assert 0.3 < inside < 0.8  # neither empty nor full


@pytest.fixture
def ann_file(tmp_path):
    images = [dict(id=number, width=60, height=40, file_name='x.jpg') for number in (3, 1, 2)]
    objects = [
        dict(id=1, image_id=2, category_id=1, bbox=[10, 5, 20, 10]),
        dict(id=2, image_id=2, category_id=1, bbox=[50, 30, 10, 10]),
        dict(id=3, image_id=3, category_id=1, bbox=[0, 0, 60, 40]),
    ]
    path = tmp_path / 'objects.json'
    path.write_text(json.dumps(dict(images=images, annotations=objects, categories=[])))
    return path


def test_boxes_of_a_coco_file(ann_file):
    found = benchmark_masks.read_mask_logits(str(ann_file), 5, 10)
    assert [len(image.boxes) for image in found] == [5, 5]  # image 1 has no objects
    whole, two = found
    assert whole.size == (40, 60) and len(benchmark_masks.read_mask_logits(str(ann_file), 5, 1)) == 1
    limits = torch.tensor([60, 40, 60, 40])
    assert all((p.boxes >= 0).all() and (p.boxes <= limits).all() for p in found)
    for box, (x, y, w, h) in zip(two.boxes, [(10, 5, 20, 10), (50, 30, 10, 10), (10, 5, 20, 10)]):
        moved = box - torch.tensor([x, y, x + w, y + h])
        assert moved.abs().max() <= 0.1 * max(w, h) and moved.abs().max() > 0


def test_all_ways_give_the_same_rle():
    images = [benchmark_masks.draw_mask_logits(12, (90, 120), sides=(3, 80))]
    ways = [benchmark_masks.MaskPastingRun(images, *way) for way in ((False,), (True,), (True, 'rle'))]
    theirs, dense, ours = [way.rle() for way in ways]
    assert theirs == dense == ours and len(ours[0]) == 13 and ours[0][0]['size'] == [90, 120]
    assert all(set(way()) == {'pasting', 'encoding'} for way in ways)


def test_the_command(ann_file, capsys):
    assert run_tool(TOOL, '--annotations', ann_file, '--masks', '4', '--repeats', '1') == 0
    out = capsys.readouterr().out
    assert 'FCNMaskHead, encoded | ' in out and 'ours, RLE | ' in out and '2 images' in out
    assert run_tool(TOOL, '--size', '40', '50', '--masks', '2', '--repeats', '1', '--ours-alone') == 0
    assert 'FCNMaskHead' not in capsys.readouterr().out


@pytest.mark.parametrize(
    ('wrong', 'told'),
    [
        (['--masks', '0'], '--masks is 0'),
        (['--size', '0', '5'], '--size is 0 5'),
        (['--annotations', 'none.json'], 'there is no annotation file none.json'),
        (['--annotations', __file__], 'is not JSON'),
    ],
)
def test_bad_options(wrong, told, capsys):
    assert run_tool(TOOL, *wrong) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (lambda content: content['annotations'][0].pop('bbox'), "lacks the key 'bbox'"),
        (lambda content: content['images'][0].pop('width'), "lacks the key 'width'"),
        (lambda content: content.pop('images'), "has no list 'images'"),
        (lambda content: content['annotations'][0].update(bbox=[1, 2]), 'cannot be used'),
        (lambda content: content['annotations'][0].update(bbox=None), 'cannot be used'),
        (lambda content: content['annotations'].clear(), 'has no objects in its images'),
    ],
)
def test_bad_annotations(ann_file, change, told):
    change_json(ann_file, change)
    with pytest.raises(AnnotationError, match=told):
        benchmark_masks.read_mask_logits(str(ann_file), 5, 10)
