"""What a CenterMask computes on its way to masks, and its drawing."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from tiny_run import find_something, run_tool
from torch import nn

from mmcentermask.apis import explanation
from mmcentermask.apis.explanation import explain
from mmcentermask.apis.torch_model import TorchModel
from mmcentermask.errors import ConfigError
from mmcentermask.models import AdaptiveRoIExtractor
from mmcentermask.structures.mask_pasting import paste_rle
from mmcentermask.structures.rle import rle_to_json
from mmcentermask.visualization.explanation import draw_explanation

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)  # 64 x 96 to the network, not padded


@pytest.fixture(scope='module')
def paths(tmp_path_factory):
    return find_something(tmp_path_factory.mktemp('explanation'))


@pytest.fixture(scope='module')
def model(paths):
    return TorchModel(*paths, 'cpu')


@pytest.fixture(scope='module')
def explained(model):
    return explain(model, IMAGE)


def test_the_objects_are_those_of_a_prediction(model, explained):
    assert explained.found.to_dict() == model.run([model.load(IMAGE)])[0].to_dict() and len(explained.found) == 5
    np.testing.assert_array_equal(explained.image, IMAGE)
    assert not any(module._forward_hooks for module in model.inferencer.model.modules())


def test_the_values_lead_to_the_result(explained):
    found = explained.found
    # the best score is the root of the best product of class and centerness
    products = [(maps * center).max() for maps, center in zip(explained.class_maps, explained.centerness)]
    assert found.scores[0] == pytest.approx(max(products) ** 0.5, abs=1e-6)
    maps, boxes = torch.from_numpy(explained.mask_maps), torch.from_numpy(found.boxes)
    assert rle_to_json(paste_rle(maps, boxes, 60, 90)) == found.rle
    np.testing.assert_allclose(explained.mask_ious * found.scores, found.mask_scores, rtol=1e-6)
    inside = explained.rois.clip(0, [90, 60, 90, 60])
    np.testing.assert_allclose(inside, found.boxes, atol=1e-4)
    assert explained.attention.shape == (5, 14, 14) and 0 <= explained.attention.min() <= explained.attention.max() <= 1


def test_maps_of_the_image_without_its_padding(model):
    found = explain(model, IMAGE[:, :70])  # 82 x 96 to the network, padded to 96 x 96
    assert found.input_size == (82, 96) and found.box_levels == [3, 4, 5, 6, 7]
    assert [maps.shape for maps in found.class_maps] == [(4, 11, 12), (4, 6, 6), (4, 3, 3), (4, 2, 2), (4, 1, 1)]
    assert [maps.shape for maps in found.centerness] == [(11, 12), (6, 6), (3, 3), (2, 2), (1, 1)]


def test_weights_of_ese(model):
    fc = model.inferencer.model.backbone.stage3[0].attention.fc
    saved = {name: value.clone() for name, value in fc.state_dict().items()}
    with torch.no_grad():
        fc.weight.zero_()
        fc.bias.fill_(1.5)  # hard sigmoid: (1.5 + 3) / 6
    weights = explain(model, IMAGE).channel_weights
    fc.load_state_dict(saved)
    assert {name: len(values) for name, values in weights.items()} == {
        'stage2.0.attention': 112,
        'stage3.0.attention': 256,
        'stage4.0.attention': 384,
        'stage5.0.attention': 512,
    }
    np.testing.assert_allclose(weights['stage3.0.attention'], 0.75, rtol=1e-6)


@pytest.mark.parametrize(
    ('side', 'image_area', 'by_eq2', 'by_eq1'),
    [
        (224, 1e6, 3, 4),  # 5 - log2(1e6 / 224 ** 2) = 0.68, below P3; 4 + log2(224 / 224)
        (96, 96 * 96, 5, 3),  # the whole image; 4 - 1.2
        (448, 2 * 448 * 448, 4, 5),  # half of it; 4 + log2(2)
        (1800, 2000 * 2000, 5, 5),  # 5 - 0.3, up; 4 + 3, above P5
    ],
)
def test_levels(side, image_area, by_eq2, by_eq1):
    align = dict(type='RoIAlign', output_size=14)
    boxes = torch.tensor([[7.0, 9.0, 7.0 + side, 9.0 + side]])
    found = explanation._roi_levels(AdaptiveRoIExtractor(align, 4), boxes, image_area)
    assert [level.item() for level in found] == [by_eq2, by_eq1]
    found = explanation._roi_levels(SingleRoIExtractor(align, 4, [8, 16, 32], finest_scale=112), boxes, image_area)
    assert [level.item() for level in found] == [by_eq1, by_eq1]


def test_choosing_objects(explained):
    chosen = explained[[3, 1]]
    assert chosen.found.to_dict() == explained.found[[3, 1]].to_dict()
    np.testing.assert_array_equal(chosen.attention, explained.attention[[3, 1]])
    np.testing.assert_array_equal(chosen.levels, explained.levels[[3, 1]])
    assert chosen.class_maps is explained.class_maps


def test_a_model_without_attention_and_mask_scores(model, monkeypatch):
    detector = model.inferencer.model
    monkeypatch.setattr(detector.roi_head.mask_head, 'attention', nn.Identity())
    monkeypatch.setattr(detector.roi_head, 'mask_iou_head', None)
    for module in [*detector.backbone.modules()]:
        if hasattr(module, 'attention'):
            monkeypatch.setattr(module, 'attention', nn.Identity())
    found = explain(model, IMAGE)
    assert (found.attention, found.mask_ious, found.channel_weights, len(found.found)) == (None, None, {}, 5)
    draw_explanation(found).canvas.draw()


def test_an_image_without_objects(explained):
    figure = draw_explanation(explained[[]])
    titles = [axes.get_title() for part in figure.subfigs for axes in part.axes]
    assert 'result: 0 object(s)' in titles and 'attention' not in titles


def test_what_is_no_centermask():
    with pytest.raises(ConfigError, match='only a CenterMask can be looked into, but the model is a Linear'):
        explain(SimpleNamespace(inferencer=SimpleNamespace(model=nn.Linear(1, 1))), IMAGE)


def test_the_tool(paths, tmp_path, capsys):
    image, out = tmp_path / 'a.png', tmp_path / 'out/a.png'
    cv2.imwrite(str(image), IMAGE)
    assert run_tool('tools/visualize.py', image, paths[0], '--weights', paths[1], '--out', out, '--threshold', 0) == 0
    assert '5 object(s)' in capsys.readouterr().out
    drawing = cv2.imread(str(out))
    assert drawing.shape[1] == 1200 and len(np.unique(drawing.reshape(-1, 3), axis=0)) > 1000


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['{image}', 'own.py', '--out', 'a.gif'], '--out is a.gif: give a file whose name ends with one of .png'),
        (['{image}', 'own.py', '--out', '{image}/a.png'], 'cannot write to'),
        (['{image}', 'own.py', '--threshold', '2'], 'the threshold is 2'),
        (['{image}', 'own.py', '--objects', '0'], '--objects is 0: give 1 or more'),
        (['{image}', 'a.onnx'], 'a.onnx is exported, and only its results can be seen'),
        (['{image}', '{config}'], 'has no weights yet: give its checkpoint'),
        (['{image}', '{config}', '--weights', '{weights}'], 'cannot be decoded, it is truncated or no image'),
    ],
)
def test_the_tool_refuses(arguments, words, paths, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'text.png').write_text('no image')
    names = dict(image='text.png', config=paths[0], weights=paths[1])
    assert run_tool('tools/visualize.py', *[argument.format(**names) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert words in error and error.startswith('error: ') and error.count('\n') == 1
    assert [path.name for path in tmp_path.rglob('*') if path.is_file()] == ['text.png']
