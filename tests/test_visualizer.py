"""Drawings: a class has one color, RLEs are drawn as dense masks are, and labels can be read."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks, PolygonMasks, encode_mask_results
from mmengine.structures import InstanceData

from mmcentermask.visualization import CenterMaskVisualizer, class_colors, draw_instances, drawing, style

HEIGHT, WIDTH = 60, 80


def shapes():
    """A disc with a hole, two parts, one over the border, an empty mask, the whole image, a single pixel."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(x - 40, y - 30)
    masks = np.zeros((6, HEIGHT, WIDTH), bool)
    masks[0] = (distance < 20) & (distance > 8)
    masks[1, 5:15, 5:20] = masks[1, 40:50, 50:55] = True
    masks[2, 45:, 60:] = True
    masks[4] = True
    masks[5, 33, 12] = True
    return masks


def some(masks, labels=None, boxes=None, **more):
    number = len(masks)
    boxes = torch.tensor(boxes if boxes is not None else [[4.0, 3, 70, 50]] * number).reshape(-1, 4)
    labels = torch.tensor(labels if labels is not None else [i % 2 for i in range(number)], dtype=torch.long)
    return InstanceData(bboxes=boxes, labels=labels, masks=masks, **more)


def noise():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.mark.parametrize('scale', [1, 2, 0.7])
def test_masks_of_any_form_are_drawn_alike(scale):
    masks = shapes()
    expected = draw_instances(noise(), some(masks), ('a', 'b'), scale=scale)
    for form in (
        encode_mask_results(masks),
        torch.from_numpy(masks),
        BitmapMasks(masks.astype(np.uint8), HEIGHT, WIDTH),
    ):
        np.testing.assert_array_equal(draw_instances(noise(), some(form), ('a', 'b'), scale=scale), expected)
    assert expected.shape == (round(HEIGHT * scale), round(WIDTH * scale), 3)


def test_pixels_of_a_mask_have_its_color_and_the_others_stay():
    mask = np.zeros((1, 200, 200), np.uint8)
    mask[0, 50:150, 60:140] = 1
    image = np.full((200, 200, 3), 100, np.uint8)
    found = some(mask, [1], [[60.0, 50, 140, 150]])
    drawn = draw_instances(image, found, palette=[(0, 0, 0), (200, 0, 40)], alpha=0.5)
    assert drawn[100, 100].tolist() == [150, 50, 70]
    assert drawn[50, 100].tolist() == drawn[100, 60].tolist() == [200, 0, 40]  # outline
    assert (drawn[160:] == 100).all() and (drawn[:, :55] == 100).all() and (image == 100).all()
    doubled = draw_instances(image, found, palette=[(0, 0, 0), (200, 0, 40)], alpha=0.5, scale=2)
    assert doubled[200, 200].tolist() == [150, 50, 70] and (doubled[310:] == 100).all()
    polygons = PolygonMasks([[np.array([60.0, 50, 140, 50, 140, 150, 60, 150])]], 200, 200)
    assert draw_instances(image, some(polygons, [1], found.bboxes.tolist()), alpha=0.5)[100, 100, 0] == 178


def test_an_object_of_the_color_of_its_class_is_outlined_all_the_same():
    image = np.full((100, 100, 3), (200, 0, 40), np.uint8)
    mask = np.zeros((1, 100, 100), bool)
    mask[0, 20:80, 20:80] = True
    drawn = draw_instances(image, some(mask, [0], [[20.0, 20, 80, 80]]), palette=(200, 0, 40))
    assert drawn[20, 50].min() > 200 and drawn[50, 79].min() > 200 and (drawn[50, 50] == image[0, 0]).all()


def test_a_class_has_one_color_in_truth_and_prediction():
    visualizer = CenterMaskVisualizer(name='colors')
    visualizer.dataset_meta = dict(classes=('a', 'b'), palette=CocoDataset.METAINFO['palette'])
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    masks[0, 20:40, 5:35] = masks[1, 20:40, 45:75] = True
    boxes = [[5.0, 20, 35, 40], [45.0, 20, 75, 40]]
    truth, found = some(masks, [0, 1], boxes), some(masks, [0, 1], boxes, scores=torch.tensor([0.9, 0.8]))
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    visualizer.add_datasample('both', image, DetDataSample(gt_instances=truth, pred_instances=found))
    drawn = visualizer.get_image()
    assert drawn.shape == (HEIGHT, 2 * WIDTH, 3)
    np.testing.assert_array_equal(drawn[38, 20], drawn[38, WIDTH + 20])
    assert (drawn[38, 60] == drawn[38, WIDTH + 60]).all() and (drawn[38, 60] != drawn[38, 20]).any()
    visualizer.add_datasample('low', image, DetDataSample(pred_instances=found), pred_score_thr=0.85)
    assert (visualizer.get_image()[20:40, 45:75] == 90).all()  # below the threshold


def test_class_colors():
    colors = class_colors(80, CocoDataset.METAINFO['palette'])
    assert colors == class_colors(80) and len(set(colors)) == 80
    own = class_colors(10)
    apart = [np.abs(np.subtract(a, b)).max() for i, a in enumerate(own) for b in own[:i]]
    assert min(apart) >= 60
    assert class_colors(3, [(1, 2, 3), (4, 5, 6)]) == [(1, 2, 3), (4, 5, 6), class_colors(3)[2]]
    assert class_colors(2, (9, 8, 7)) == [(9, 8, 7)] * 2
    assert class_colors(1, 'coco') == CocoDataset.METAINFO['palette'][:1]
    assert class_colors(2, 'random') == class_colors(2)


@pytest.mark.parametrize('score', [0.9, 0.1])
def test_nothing_to_draw(score):
    image = noise()
    nothing = some(np.zeros((0, HEIGHT, WIDTH), bool))
    np.testing.assert_array_equal(draw_instances(image, nothing), image)
    empty = some(encode_mask_results(np.zeros((1, HEIGHT, WIDTH), bool)), boxes=[[0.0, 0, 0, 0]])
    assert draw_instances(image, empty).shape == image.shape  # as a model without boxes gives
    wrong = some(shapes()[:1], boxes=[[float('nan'), -1e9, float('inf'), 1e9]])
    assert draw_instances(image, wrong).shape == image.shape


def test_one_mask_is_decoded_at_a_time_and_once(monkeypatch):
    decoded = []
    decode_crop = drawing.decode_crop
    monkeypatch.setattr(drawing, 'decode_crop', lambda code: decoded.append(code) or decode_crop(code))
    codes = encode_mask_results(shapes())
    draw_instances(noise(), some(codes))
    assert all(isinstance(code, dict) for code in decoded)
    assert [decoded.count(code) for code in codes] == [1, 1, 1, 0, 1, 1]  # the empty one never


def chip(image, color):
    """The box of the pixels of a color."""
    y, x = (image == color).all(axis=2).nonzero()
    return x.min(), y.min(), x.max() + 1, y.max() + 1


@pytest.mark.parametrize(('height', 'width', 'least', 'most'), [(200, 250, 12, 20), (3000, 4000, 80, 110)])
def test_labels_follow_the_size_of_the_image_within_bounds(height, width, least, most):
    box = [0.4 * width, 0.4 * height, 0.6 * width, 0.6 * height]
    found = InstanceData(bboxes=torch.tensor([box]), labels=torch.tensor([0]))
    drawn = draw_instances(np.zeros((height, width, 3), np.uint8), found, ('cat',))
    x1, y1, x2, y2 = chip(drawn, class_colors(1)[0])
    assert least <= box[1] - y1 <= most
    edge = 1 + width / 500  # half of an outline
    assert abs(x1 - box[0]) <= edge and abs(y2 - box[3]) <= edge  # the label stands on its box


def test_labels_cover_neither_each_other_nor_whole_objects():
    boxes = [[x, y, x + 14, y + 14] for y in range(4, 390, 20) for x in range(4, 390, 20)]
    crowd = InstanceData(bboxes=torch.tensor(boxes).float(), labels=torch.zeros(len(boxes), dtype=torch.long))
    drawn = draw_instances(np.zeros((400, 400, 3), np.uint8), crowd, ('bacterium',))
    assert all((drawn[y + 5 : y + 9, x + 5 : x + 9] == 0).all() for x, y, *_ in boxes)
    small = draw_instances(np.zeros((48, 64, 3), np.uint8), some(np.ones((1, 48, 64), bool)), ('person',), alpha=0)
    assert (small[10:45, 10:60] == 0).all()


def test_a_font_is_found_for_the_characters_or_the_class_is_numbered(monkeypatch, capsys):
    text = 'кошка'
    fonts = style._default_font().rsplit('/', 1)[0]
    monkeypatch.setattr(style, '_default_font', lambda: f'{fonts}/cmex10.ttf')  # brackets only
    monkeypatch.setattr(style, '_installed_fonts', lambda: ['no font', f'{fonts}/DejaVuSans.ttf'])
    caches = style._font_file, style.font
    for cache in caches:
        cache.cache_clear()
    assert style.class_label(0, [text]) == text and style.font(text, 12).getname()[0] == 'DejaVu Sans'
    monkeypatch.setattr(style, '_installed_fonts', list)
    for cache in caches:
        cache.cache_clear()
    assert [style.class_label(1, ['a', text]) for _ in range(2)] == ['class 1'] * 2
    error = capsys.readouterr().err
    assert text in error and error.count('\n') == 1  # said once
    for cache in caches:
        cache.cache_clear()
    assert style.class_label(7, ['a']) == 'class 7' and style.class_label(7, None) == 'class 7'


def test_the_name_of_an_object_wins_over_its_class():
    black = np.zeros((100, 300, 3), np.uint8)
    one = InstanceData(bboxes=torch.tensor([[50.0, 50, 200, 90]]), labels=torch.tensor([0]))
    of_class = draw_instances(black, one, ('elephant',))
    one.label_names = ['ox']
    assert (cv2.absdiff(draw_instances(black, one, ('elephant',)), draw_instances(black, one, ('ox',))) == 0).all()
    assert (of_class != draw_instances(black, one, ('ox',))).any()
