"""Test-time augmentation: one view changes nothing, mirrors agree, boxes and masks merge as computed by hand."""

import json
import pickle
from unittest import mock

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from tiny_run import run_tool, write_config
from tolerances import SCORES, assert_same_detections

from conftest import CONFIGS, ROOT, build, small_config
from mmcentermask.apis import InputError, load_config, use_tta
from mmcentermask.datasets import make_shapes
from mmcentermask.models import CenterMaskTTA

TTA_CFG = dict(nms=dict(type='nms', iou_threshold=0.6), max_per_img=100)
RECIPE = ROOT / 'configs/_base_/tta.py'
META = ('ori_shape', 'img_shape', 'scale_factor', 'flip', 'flip_direction')
IDENTITY, MIRRORED = dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)
UPSIDE_DOWN = dict(type='RandomFlip', prob=1.0, direction='vertical')
TURNED = dict(type='RandomFlip', prob=1.0, direction='diagonal')


@pytest.fixture(scope='module', autouse=True)
def scope():
    init_default_scope('mmdet')


def v1_config():
    """The model part of a CenterMaskV1, whose boxes have the legacy offset; no mask-IoU head."""
    cfg = Config.fromfile(CONFIGS / 'centermask-v1-lite_mv2_fpn_ms-4x_coco.py').model
    cfg.num_classes = 3
    return cfg


def finder(cfg):
    """A network without training that finds something in every class."""
    cfg.backbone.init_cfg = None
    model = build(cfg).eval()
    torch.nn.init.normal_(model.bbox_head.conv_cls.weight, std=0.05)
    # mask probabilities neither saturated, which average to exactly 0.5, nor all 0.5 where every ReLU is dead
    torch.nn.init.normal_(model.roi_head.mask_head.conv_logits.weight, std=5e-4)
    torch.nn.init.normal_(model.roi_head.mask_head.conv_logits.bias, std=0.1)
    torch.nn.init.constant_(model.bbox_head.conv_cls.bias, -1.0)
    torch.nn.init.constant_(model.bbox_head.conv_reg.bias, 3.0)
    return model


@pytest.fixture(scope='module')
def model():
    return finder(small_config())


@pytest.fixture(scope='module')
def v1_model():
    return finder(v1_config())


@pytest.fixture(params=['model', 'v1_model'])
def either(request):
    return request.getfixturevalue(request.param)


def picture(height=96, width=128, seed=0):
    """Blobs of color."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def predict_plain(model, images, scale=1.0):
    pipeline = Compose(
        [
            dict(type='mmdet.LoadImageFromNDArray'),
            dict(type='mmdet.Resize', scale_factor=scale),
            dict(type='mmdet.PackDetInputs', meta_keys=META),
        ]
    )
    with torch.no_grad():
        return [s.pred_instances for s in model.test_step(pseudo_collate([pipeline(dict(img=i)) for i in images]))]


def predict_views(model, images, scales=(1.0,), flips=(IDENTITY,), **tta_cfg):
    views = [
        [dict(type='mmdet.Resize', scale_factor=s) for s in scales],
        [dict(flip) for flip in flips],
        [dict(type='mmdet.PackDetInputs', meta_keys=META)],
    ]
    pipeline = Compose([dict(type='mmdet.LoadImageFromNDArray'), dict(type='TestTimeAug', transforms=views)])
    tta = CenterMaskTTA(dict(TTA_CFG, **tta_cfg), model)
    with torch.no_grad():
        return [s.pred_instances for s in tta.test_step(pseudo_collate([pipeline(dict(img=i)) for i in images]))]


def assert_same(found, expected, width=None):
    """Compare detections; with ``width``, ``found`` must be the mirror image of ``expected``."""
    assert len(expected) > 5 and expected.masks.any(dim=(1, 2)).float().mean() > 0.5
    if width is not None:
        expected, boxes = expected.clone(), expected.bboxes
        expected.bboxes = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
        expected.masks = expected.masks.flip(-1)
    assert_same_detections(found, expected)


@pytest.mark.parametrize('scale', [1.0, 2.0, 1.37])
def test_one_view_that_changes_nothing_equals_no_augmentation(either, scale):
    images = [picture(seed=1), picture(80, 112, seed=2)]  # a batch, padded
    plain, merged = predict_plain(either, images, scale), predict_views(either, images, [scale])
    assert ('mask_scores' in plain[0]) == (either.roi_head.mask_iou_head is not None)
    for found, expected in zip(merged, plain):
        assert_same(found, expected)


def test_with_a_flip_a_mirrored_image_gives_the_mirror_image(model):
    # not for CenterMaskV1: its pasting truncates toward zero, in the mirror too
    image = picture()
    mirrored = np.ascontiguousarray(image[:, ::-1])
    # without augmentation it does not, so the test below can fail
    plain, other = predict_plain(model, [image])[0], predict_plain(model, [mirrored])[0]
    assert len(plain) != len(other) or (plain.scores - other.scores).abs().max() > 1e-3
    flips = [IDENTITY, MIRRORED]
    found, expected = (predict_views(model, [i], flips=flips)[0] for i in (mirrored, image))
    assert (expected.bboxes[:, 0] > 128 - expected.bboxes[:, 2]).any()
    assert_same(found, expected, width=128)


def test_mirrors_agree_at_several_scales(model):
    image = picture()
    views = dict(scales=[0.5, 1.5], flips=[IDENTITY, MIRRORED], max_per_img=30)
    mirrored = np.ascontiguousarray(image[:, ::-1])
    found, expected = (predict_views(model, [i], **views)[0] for i in (mirrored, image))
    assert_same(found, expected, width=128)


def test_the_order_of_the_views_does_not_matter(model):
    images, flips = [picture(), picture(80, 128, seed=3)], [IDENTITY, UPSIDE_DOWN, TURNED]
    for found, expected in zip(
        predict_views(model, images, [1.0, 0.5], flips[::-1], max_per_img=10),
        predict_views(model, images, [0.5, 1.0], flips, max_per_img=10),
    ):
        assert_same(found, expected)


def views_of(boxes, labels, scores, height=100, width=200):
    """Data samples of one image in views: (scale, flip direction or None) -> its boxes."""
    samples = []
    for (scale, direction), box, label, score in zip(boxes, boxes.values(), labels, scores):
        sample = DetDataSample(
            metainfo=dict(
                ori_shape=(height, width),
                img_shape=(int(height * scale), int(width * scale)),
                scale_factor=(scale, scale),
                flip=direction is not None,
                flip_direction=direction,
            )
        )
        sample.pred_instances = InstanceData(
            bboxes=torch.tensor(box, dtype=torch.float32).reshape(-1, 4),
            labels=torch.tensor(label, dtype=torch.long),
            scores=torch.tensor(score, dtype=torch.float32),
        )
        samples.append(sample)
    return samples


def test_boxes_merge_in_the_original_image(model):
    """By hand: one object seen in four views, another class in its place, one object seen once, outside on the left."""
    boxes = {
        (1.0, None): [[20, 10, 60, 50]],
        (2.0, 'horizontal'): [[282, 20, 360, 100], [410, 0, 420, 20]],
        (0.5, 'vertical'): [[10, 25, 30, 45]],
        (1.0, 'diagonal'): [[140, 50, 180, 90]],
    }
    samples = views_of(boxes, [[1], [1, 0], [2], [1]], [[0.5], [0.9, 0.3], [0.4], [0.6]])
    (merged,) = CenterMaskTTA(TTA_CFG, model).merge_preds([samples])
    # 400 - 360, 400 - 282 halved; 400 - 420, 400 - 410 halved; 50 - 45, 50 - 25 doubled
    assert merged.bboxes.tolist() == [[20, 10, 59, 50], [20, 10, 60, 50], [-10, 0, -5, 10]]
    assert merged.labels.tolist() == [1, 2, 0]
    assert merged.scores.tolist() == pytest.approx([0.9, 0.4, 0.3])
    (best,) = CenterMaskTTA(dict(TTA_CFG, max_per_img=1), model).merge_preds([samples])
    assert best.scores.tolist() == pytest.approx([0.9])


def test_boxes_with_legacy_offset_are_mirrored_by_their_pixels(v1_model):
    """Pixels 20..59 of 200, mirrored, are pixels 140..179."""
    boxes = {(1.0, None): [[20, 10, 59, 49]], (1.0, 'horizontal'): [[140, 10, 179, 49]]}
    (merged,) = CenterMaskTTA(TTA_CFG, v1_model).merge_preds([views_of(boxes, [[1], [1]], [[0.5], [0.4]])])
    assert merged.bboxes.tolist() == [[20, 10, 60, 50]]


def segment(model, flips, logits, ious):
    """Paste an 8 x 8 box of class 1 from given mask logits (h, w) and predicted IoUs, a view each."""
    samples = views_of({(1.0 + i, f): [] for i, f in enumerate(flips)}, [[]] * len(flips), [[]] * len(flips), 16, 16)
    maps = []
    for logit, iou in zip(logits, ious):
        maps.append(((logit[None, None],), (torch.tensor([[0.0, iou, 0.0]]),)))
    merged = InstanceData(
        bboxes=torch.tensor([[4.0, 4.0, 12.0, 12.0]]), labels=torch.tensor([1]), scores=torch.tensor([0.5])
    )
    with mock.patch.object(model.roi_head, 'predict_maps', side_effect=maps) as seen:
        (found,) = CenterMaskTTA(TTA_CFG, model)._segment([()] * len(flips), [[s] for s in samples], [merged])
    return found, [call.args[1][0].bboxes[0].tolist() for call in seen.call_args_list]


def test_masks_are_averaged_as_probabilities_and_flipped_back(model):
    left = torch.tensor([[1.0] * 8 + [-1.0] * 8] * 16)
    # 0.9 and 0.1 as seen, 0.7 and 0.3 in the mirror: 0.6 and 0.4
    found, boxes = segment(model, [None, 'horizontal'], [left * 2.197, left * 0.847], [0.9, 0.5])
    assert boxes == [[4, 4, 12, 12], [8, 8, 24, 24]]
    assert found.masks.shape == (1, 16, 16)
    assert found.masks[0, 4:12, 4:8].all() and found.masks.sum() == 32
    assert found.bboxes.tolist() == [[4, 4, 12, 12]] and found.scores.tolist() == [0.5]
    assert found.mask_scores.tolist() == pytest.approx([0.35])
    upper = left.T.contiguous()
    found, _ = segment(model, ['vertical', 'horizontal'], [upper * 3, upper * 0.1], [0.5, 0.5])
    assert found.masks[0, 8:12, 4:12].all() and found.masks.sum() == 32
    # the mean of the logits is above 0, that of the probabilities below 0.5
    found, _ = segment(model, [None] * 3, [torch.full((16, 16), x) for x in (6.9, -0.85, -1.73)], [0.5] * 3)
    assert found.masks.sum() == 0


def test_no_detections_in_any_view_or_image(model):
    with mock.patch.dict(model.bbox_head.test_cfg, score_thr=1.0):
        for found in predict_views(model, [picture(), picture(64, 64)], [1.0, 0.5], [IDENTITY, MIRRORED]):
            assert found.bboxes.shape == (0, 4) and found.masks.shape[0] == 0
            assert found.scores.shape == found.mask_scores.shape == found.labels.shape == (0,)
        assert found.masks.shape == (0, 64, 64)


def test_an_image_without_detections_beside_one_with_some(model):
    alone = predict_views(model, [picture()], [1.0, 0.5], max_per_img=3)[0]
    empty = views_of({(1.0, None): []}, [[]], [[]])[0].pred_instances
    with mock.patch.object(CenterMaskTTA, '_merge_single', side_effect=[empty, alone.new()]):
        found = predict_views(model, [picture(seed=5), picture()], [1.0, 0.5])
    assert [len(f) for f in found] == [0, 3] and found[0].masks.shape == (0, 96, 128)


def test_different_scales_find_at_least_what_the_best_scores_say(model):
    singles = [predict_views(model, [picture()], [s])[0] for s in (1.0, 1.5)]
    both = predict_views(model, [picture()], [1.0, 1.5])[0]
    assert both.scores[0].item() == pytest.approx(max(s.scores[0].item() for s in singles), abs=SCORES)
    assert len(both) > max(len(s) for s in singles)
    assert both.bboxes.min() >= 0 and both.bboxes[:, 2].max() <= 128 and both.bboxes[:, 3].max() <= 96
    assert (both.scores[:-1] >= both.scores[1:]).all()


def test_only_centermask_and_complete_settings_are_accepted(model):
    with pytest.raises(ValueError, match='the model is a ReLU, but only a CenterMask'):
        relu = torch.nn.ReLU()
        relu.test_step = None
        CenterMaskTTA(TTA_CFG, relu)
    with pytest.raises(ValueError, match='tta_cfg has no nms and no max_per_img'):
        CenterMaskTTA(None, model)
    with pytest.raises(ValueError, match='tta_cfg has no nms: write'):
        CenterMaskTTA(dict(max_per_img=5), model)


def test_a_config_without_augmentation_takes_the_recipe_and_says_so(capsys):
    cfg = load_config(str(CONFIGS / 'centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py'))
    model = cfg.model.copy()
    use_tta(cfg, RECIPE)
    assert 'has no tta_model and no tta_pipeline: taken from _base_/tta.py' in capsys.readouterr().out
    recipe = Config.fromfile(RECIPE)
    assert cfg.test_dataloader.dataset.pipeline == recipe.tta_pipeline
    assert cfg.model.type == 'CenterMaskTTA' and cfg.model.module == model
    assert isinstance(MODELS.build(cfg.model), CenterMaskTTA)
    views = Compose(recipe.tta_pipeline[1:])(dict(img=picture(30, 40), img_shape=(30, 40), ori_shape=(30, 40)))
    assert [s.img_shape for s in views['data_samples']][::2] == [
        (short, round(short * 4 / 3 + 1e-6)) for short in range(400, 1201, 100)
    ]
    assert [s.flip for s in views['data_samples']] == [False, True] * 9


def test_a_config_with_augmentation_keeps_its_own(capsys, tmp_path):
    base = CONFIGS / 'centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py'
    (tmp_path / 'own.py').write_text(
        f'_base_ = [{str(base)!r}, {str(RECIPE)!r}]\ntta_model = dict(tta_cfg=dict(max_per_img=7))'
    )
    cfg = load_config(str(tmp_path / 'own.py'))
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[cfg.test_dataloader.dataset] * 2)
    use_tta(cfg, 'nowhere.py')
    assert capsys.readouterr().out == '' and cfg.model.tta_cfg.max_per_img == 7
    assert [d.pipeline for d in cfg.test_dataloader.dataset.datasets] == [cfg.tta_pipeline] * 2


def test_impossible_augmentations_are_refused_in_a_sentence():
    cfg = load_config(str(CONFIGS / 'centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py'))
    cfg.tta_pipeline = cfg.test_dataloader.dataset.pipeline
    with pytest.raises(InputError, match='tta_pipeline makes no views'):
        use_tta(cfg, RECIPE)
    cfg.tta_pipeline = None
    cfg.tta_model = dict(type='CenterMaskTTA', tta_cfg=dict(nms=None))
    with pytest.raises(InputError, match='tta_cfg has no max_per_img'):
        use_tta(cfg, RECIPE)


VIEWS = """
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(s, s), keep_ratio=True) for s in (64, 96)],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            [dict(type='PackDetInputs', meta_keys={meta!r})],
        ],
    ),
]
"""


@pytest.mark.slow
def test_the_command_line_tests_in_many_views(tmp_path, monkeypatch, capsys):
    make_shapes(tmp_path / 'data', 1, 2, 96, seed=1, report=lambda line: None)
    config = write_config(tmp_path / 'tiny.py', tmp_path / 'data')
    config.write_text(config.read_text() + VIEWS.format(meta=('img_id', *META)))
    torch.save(dict(state_dict=finder(Config.fromfile(config).model).state_dict(), meta={}), tmp_path / 'weights.pth')
    monkeypatch.chdir(tmp_path)
    code = run_tool('tools/test.py', 'tiny.py', 'weights.pth', '--work-dir', 'run', '--tta', '--out', 'dump.pkl')
    assert code == 0
    assert 'The config has no tta_model: taken from _base_/tta.py.' in capsys.readouterr().out
    predictions = pickle.loads((tmp_path / 'dump.pkl').read_bytes())
    assert [p['pred_instances']['masks'][0]['size'] for p in predictions] == [list(p['ori_shape']) for p in predictions]
    # more than one view may give
    assert len(predictions) == 2 and all(50 < len(p['pred_instances']['scores']) <= 100 for p in predictions)
    (scores,) = (tmp_path / 'run').glob('*/*.json')
    assert 'coco/segm_mAP' in json.loads(scores.read_text())
