"""Results: chosen, drawn, written, as polygons and in the formats of other tools."""

import base64
import json
import sys

import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_api

from mmcentermask.errors import ImageError, InputError
from mmcentermask.structures import Instances
from mmcentermask.structures.polygons import trace_polygons

HEIGHT, WIDTH = 40, 60


def shapes():
    """A disc with a hole, two parts, an empty mask."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(x - 30, y - 20)
    masks = np.zeros((3, HEIGHT, WIDTH), bool)
    masks[0] = (distance < 15) & (distance > 6)
    masks[1, 5:15, 5:20] = masks[1, 30:38, 50:55] = True
    return masks


def found(**more):
    codes = mask_api.encode(np.asfortranarray(shapes().transpose(1, 2, 0).astype(np.uint8)))
    return Instances(
        boxes=np.array([[15.5, 5, 45, 35], [5, 5, 55, 38], [1, 2, 3, 4]], np.float32),
        labels=np.array([1, 0, 1]),
        scores=np.array([0.9, 0.6, 0.25], np.float32),
        rle=[{**code, 'counts': code['counts'].decode()} for code in codes],
        height=HEIGHT,
        width=WIDTH,
        classes=('cat', 'dog', 'cow'),
        mask_scores=np.array([0.8, 0.3, 0.125], np.float32),
        **more,
    )


def test_choosing():
    all_of_them = found()
    assert all_of_them.names == ['dog', 'cat', 'dog'] and len(all_of_them) == 3
    for chosen, expected in (
        (all_of_them.filter(0.5), [0.9, 0.6]),
        (all_of_them.filter(classes=['dog']), [0.9, 0.25]),
        (all_of_them.filter(0.5, classes='dog'), [0.9]),
        (all_of_them.filter(classes=[0, 'cow']), [0.6]),
        (all_of_them[[2, 0]], [0.25, 0.9]),
        (all_of_them[1], [0.6]),
        (all_of_them[-2:], [0.6, 0.25]),
        (all_of_them[all_of_them.scores > 1], []),
    ):
        assert chosen.scores.tolist() == pytest.approx(expected)
        lengths = {len(part) for part in (chosen.boxes, chosen.labels, chosen.rle, chosen.mask_scores, chosen.masks())}
        assert lengths == {len(expected)} and chosen.masks().shape[1:] == (HEIGHT, WIDTH)
    assert np.array_equal(all_of_them[[1]].masks()[0], shapes()[1])
    with pytest.raises(InputError, match="no class 'dgo': did you mean dog?"):
        all_of_them.filter(classes=['dgo'])
    with pytest.raises(InputError, match='the threshold is nan'):
        all_of_them.filter(float('nan'))
    with pytest.raises(InputError, match='no class 3'):
        all_of_them.filter(classes=[3])


def area(ring):
    """Signed area: above 0 where a ring goes clockwise as one sees it."""
    x, y = ring.T.astype(float)
    return (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2


def filled(parts, height, width):
    """The pixels whose centers the rings of each part go around, counted by a ray to the right."""
    y, x = np.mgrid[:height, :width] + 0.5
    count = np.zeros((height, width), int)
    for ring in (ring for part in parts for ring in part):
        for (x1, y1), (x2, y2) in zip(ring.tolist(), np.roll(ring, -1, axis=0).tolist()):
            crossing = x1 + (y - y1) * (x2 - x1) / max(abs(y2 - y1), 1) * np.sign(y2 - y1)
            count += int(np.sign(y2 - y1)) * ((y > min(y1, y2)) & (y < max(y1, y2)) & (x < crossing))
    return count


def test_polygons_enclose_the_very_pixels_of_masks():
    rng = np.random.default_rng(0)
    for _ in range(300):
        mask = rng.random(rng.integers(1, 11, 2)) < rng.random()
        parts = trace_polygons(mask)
        assert (filled(parts, *mask.shape) == mask).all()
        assert len(parts) == cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1
        for outer, *holes in parts:
            assert area(outer) > 0 and all(area(hole) < 0 for hole in holes)
            assert (filled([[outer, *holes]], *mask.shape) >= 0).all()


def test_polygons_by_hand():
    ring = np.ones((3, 4), bool)
    ring[1, 1] = False
    ((outer, hole),) = trace_polygons(ring)
    assert outer.tolist() == [[0, 0], [4, 0], [4, 3], [0, 3]]
    assert hole.tolist() == [[1, 1], [1, 2], [2, 2], [2, 1]]
    diagonal = trace_polygons(np.eye(2, dtype=bool))
    assert [part[0].tolist() for part in diagonal] == [
        [[0, 0], [1, 0], [1, 1], [0, 1]],
        [[1, 1], [2, 1], [2, 2], [1, 2]],
    ]
    assert trace_polygons(np.zeros((2, 2), bool)) == []


def test_polygons_of_objects_and_their_simplification():
    disc, two, empty = found().polygons()
    assert [len(part) for part in disc] == [2] and [len(part) for part in two] == [1, 1] and empty == []
    assert (filled(disc, HEIGHT, WIDTH) == shapes()[0]).all()
    assert two[0][0].tolist() == [[5, 5], [20, 5], [20, 15], [5, 15]] and two[1][0].min(axis=0).tolist() == [50, 30]
    (simple,) = found().polygons(tolerance=1)[0]
    assert all(4 < len(ring) < len(exact) / 2 for ring, exact in zip(simple, disc[0], strict=True))
    # only pixels at the outline change sides
    mask, kernel = shapes()[0].astype(np.uint8), np.ones((3, 3), np.uint8)
    changed = filled([simple], HEIGHT, WIDTH) != mask
    assert changed.any() and not changed[cv2.erode(mask, kernel) == cv2.dilate(mask, kernel)].any()


def test_coco():
    result = found(file_name='a.jpg').to_coco(image_id=7)
    assert result['images'] == [dict(id=7, file_name='a.jpg', height=HEIGHT, width=WIDTH)]
    assert result['categories'] == [dict(id=1, name='cat'), dict(id=2, name='dog'), dict(id=3, name='cow')]
    first = json.loads(json.dumps(result))['annotations'][0]
    assert first['bbox'] == [15.5, 5, 29.5, 30] and first['category_id'] == 2 and first['image_id'] == 7
    assert first['area'] == shapes()[0].sum() == mask_api.decode(first['segmentation']).sum()
    assert (first['score'], first['mask_score']) == pytest.approx((0.9, 0.8))
    assert [a['category_id'] for a in found().to_coco(category_ids=[16, 17, 21])['annotations']] == [17, 16, 17]
    assert found()[:0].to_coco()['annotations'] == []


def test_labelme():
    result = json.loads(json.dumps(found(file_name='photos/a.jpg').to_labelme()))
    assert (result['imagePath'], result['imageHeight'], result['imageWidth']) == ('a.jpg', HEIGHT, WIDTH)
    disc, *parts = result['shapes']  # what has no pixels is none
    assert (disc['label'], disc['shape_type'], disc['group_id']) == ('dog', 'mask', None)
    (x1, y1), (x2, y2) = disc['points']
    crop = cv2.imdecode(np.frombuffer(base64.b64decode(disc['mask']), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(crop, shapes()[0][y1 : y2 + 1, x1 : x2 + 1]) and crop.sum() == shapes()[0].sum()
    assert [(s['label'], s['shape_type'], s['group_id']) for s in parts] == [('cat', 'polygon', 1)] * 2
    assert parts[0]['points'] == [[5, 5], [20, 5], [20, 15], [5, 15]]


def test_the_dict_of_the_inferencer_and_back():
    there = found(file_name='a.jpg')
    back = Instances.from_dict(json.loads(json.dumps(there.to_dict())), there.classes)
    assert back.to_dict() == there.to_dict() and back.boxes.dtype == np.float32
    assert 'mask_scores' not in Instances(**{**vars(there), 'mask_scores': None}).to_dict()


def test_drawing_and_writing(tmp_path):
    image = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    cv2.imwrite(str(tmp_path / 'in.png'), image)
    drawn = found(file_name=str(tmp_path / 'in.png')).draw()
    assert np.array_equal(drawn, found().draw(image)) and not np.array_equal(drawn, image) and (image == 100).all()
    alone = found()[[1]].draw(image)
    assert np.array_equal(alone[10, 10], drawn[10, 10])  # a class has its color in any company
    result = found(file_name=str(tmp_path / 'in.png'))
    for name, form in (('a.json', 'prediction'), ('b.json', 'coco'), ('c.json', 'labelme')):
        result.save(tmp_path / 'out' / name, form=form)
    assert json.loads((tmp_path / 'out/a.json').read_text()) == result.to_dict()
    assert json.loads((tmp_path / 'out/b.json').read_text()) == result.to_coco()
    assert json.loads((tmp_path / 'out/c.json').read_text()) == result.to_labelme()
    result.save(tmp_path / 'out/a.png')
    assert np.array_equal(cv2.imread(str(tmp_path / 'out/a.png')), drawn)
    for path, more, words in (
        ('a.txt', {}, 'no ending of a file'),
        ('a.json', dict(form='yolo'), "no form 'yolo'"),
        ('a.png', dict(image=image[:5]), '60 x 5 pixels, that of the objects 60 x 40'),
        ('in.png/a.json', {}, 'cannot be written'),
    ):
        with pytest.raises(InputError, match=words):
            result.save(tmp_path / path, **more)
    with pytest.raises(InputError, match='of no file'):
        found().draw()
    with pytest.raises(ImageError, match='nowhere|no image'):
        found(file_name='notes.txt').draw(b'nowhere')


def test_supervision(monkeypatch):
    supervision = pytest.importorskip('supervision')
    masks = shapes()
    masks[0, 0, 59] = True  # beyond the box
    codes = mask_api.encode(np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)))
    result = Instances(**{**vars(found()), 'rle': codes})
    detections = result.to_supervision()
    assert isinstance(detections.mask, supervision.CompactMask)
    assert np.array_equal(np.asarray(detections.mask), masks)
    assert detections.xyxy.tolist() == result.boxes.tolist() and detections.class_id.tolist() == [1, 0, 1]
    assert detections['class_name'].tolist() == result.names and len(detections[detections.confidence > 0.5]) == 2
    assert len(result[:0].to_supervision()) == 0
    monkeypatch.delattr(supervision, 'CompactMask')  # as in an older one
    assert np.array_equal(result.to_supervision().mask, masks)


def test_supervision_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(InputError, match='pip install supervision'):
        found().to_supervision()
