"""Run-length codes are drawn as dense masks are, one at a time."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import encode_mask_results
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from mmcentermask.visualization import CenterMaskVisualizer, visualizer

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


def draw(kind, masks, scores, **options):
    drawing = kind(name=f'{kind.__name__}_{len(kind._instance_dict)}', **options)
    drawing.dataset_meta = dict(classes=('a', 'b'), palette=[(255, 0, 0), (0, 80, 255)])
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    number = len(masks)
    boxes = torch.tensor([[4.0, 3, 70, 50]]).repeat(number, 1)
    found = InstanceData(bboxes=boxes, labels=torch.arange(number) % 2, scores=torch.tensor(scores))
    found.masks = masks
    np.random.seed(1)  # colors are jittered
    drawing.add_datasample('image', image, DetDataSample(pred_instances=found), draw_gt=False, pred_score_thr=0.3)
    return drawing.get_image()


@pytest.mark.parametrize('options', [{}, dict(alpha=0.35, mask_color=(10, 200, 30))], ids=['default', 'options'])
def test_codes_are_drawn_as_mmdet_draws_dense_masks(options):
    masks, scores = shapes(), [0.9, 0.8, 0.7, 0.6, 0.2, 0.5]
    expected = draw(DetLocalVisualizer, masks, scores, **options)
    assert np.array_equal(draw(CenterMaskVisualizer, encode_mask_results(masks), scores, **options), expected)
    assert np.array_equal(draw(CenterMaskVisualizer, masks, scores, **options), expected)
    # a mask that must not be drawn would show
    assert not np.array_equal(draw(CenterMaskVisualizer, masks, [0.9] * 6, **options), expected)


@pytest.mark.parametrize('score', [0.9, 0.1])
def test_nothing_to_draw(score):
    nothing = draw(CenterMaskVisualizer, [], [])
    assert nothing.shape == (HEIGHT, WIDTH, 3)
    empty = encode_mask_results(np.zeros((1, HEIGHT, WIDTH), bool))
    assert np.array_equal(draw(CenterMaskVisualizer, empty, [score]), nothing) == (score < 0.3)


def test_one_mask_is_decoded_at_a_time(monkeypatch):
    decoded = []
    decode_crop = visualizer.decode_crop
    monkeypatch.setattr(visualizer, 'decode_crop', lambda code: decoded.append(code) or decode_crop(code))
    codes = encode_mask_results(shapes())
    draw(CenterMaskVisualizer, codes, [0.9] * 6)
    assert all(isinstance(code, dict) for code in decoded)
    # once for the outline and once for the color; the empty one never
    assert [decoded.count(code) for code in codes] == [2, 2, 2, 0, 2, 2]
