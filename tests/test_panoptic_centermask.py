"""Panoptic-CenterMask: its answers are the official ones, its semantic loss the paper's, its fusion known by hand."""

import copy
import json

import numpy as np
import pytest
import tolerances
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from official_case import batch, build_model, known_answers, relative
from pycocotools import mask as mask_api

from conftest import CONFIGS, build, sample
from mmcentermask.errors import ConfigError
from mmcentermask.models import PanopticFusionHead, StuffHead
from mmcentermask.structures.panoptic_map import classify_pixels

NAME = 'panoptic_centermask_V_39_eSE_FPN_ms_3x'
THINGS, STUFF = 2, 3


def small_config(**changes):
    cfg = Config.fromfile(CONFIGS / 'panoptic-centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py').model
    cfg.backbone.norm_cfg.requires_grad, cfg.backbone.norm_eval = True, False
    cfg.update(num_classes=THINGS, num_stuff_classes=STUFF, **changes)
    return cfg


@pytest.mark.slow
def test_equals_the_official_answers():
    case, model = known_answers(NAME), build_model(NAME)
    model.panoptic_fusion_head.test_cfg.update(score_thr=0.2, stuff_area_limit=64)
    inputs, samples = batch(case, model)
    with torch.no_grad():
        feats = model.extract_feat(inputs)
        logits = F.interpolate(model.semantic_head(feats)['seg_preds'], inputs.shape[-2:], mode='bilinear')
        classes = model.semantic_head.predict(feats, [s.metainfo for s in samples])
        results = model.predict(inputs, samples)
    for level, feat in enumerate(feats, start=2):
        assert relative(feat[:, ::16, ::4, ::4], case[f'feat/p{level}'], feat) < tolerances.MAPS
    official = logits.roll(1, dims=1)  # its first class is that of things
    assert relative(official[:, ::8, ::8, ::8], case['sem/logits'], official) < tolerances.MAPS
    for i, result in enumerate(results):
        theirs = (classes[i][:128, :128].numpy().astype(int) + 1) % 54
        assert (theirs != case['sem/argmax'][i]).sum() <= tolerances.PIXELS
        expected = np.full(case[f'pan/{i}/segments'].shape, 133)
        for segment in json.loads(str(case[f'pan/{i}/info'])):
            thing = segment['category_id'] + 1000 * segment['id']
            label = thing if segment['isthing'] else segment['category_id'] + 79
            expected[case[f'pan/{i}/segments'] == segment['id']] = label
        found = result.pred_panoptic_seg.sem_seg[0].numpy()
        assert len(np.unique(expected)) > 4 and set(np.unique(found)) == set(np.unique(expected))
        assert (found != expected).mean() < 1 - tolerances.IOU


@pytest.fixture(scope='module')
def model():
    return build(small_config()).eval()


def with_truth(size=96):
    """A batch of one image, with two things on two kinds of stuff and a row of void."""
    data_sample = sample(size, size, [(10, 10, 40, 50), (50, 30, 90, 80)], [0, 1])
    seg = torch.full((1, size, size), THINGS)
    seg[:, size // 2 :] = THINGS + 2
    seg[:, 10:50, 10:40], seg[:, 30:80, 50:90], seg[:, 0] = 0, 1, 255
    data_sample.gt_sem_seg = PixelData(sem_seg=seg)
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0)), [data_sample]


def test_every_parameter_learns_and_the_semantic_loss_is_that_of_panoptic_fpn(model):
    model.train()
    inputs, samples = with_truth()
    losses = model.loss(inputs, samples)
    sum(losses.values()).backward()
    model.eval()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    with torch.no_grad():
        feats = model.extract_feat(inputs)
        loss = model.semantic_head.loss(feats, samples)['loss_seg']
        logits = F.interpolate(model.semantic_head(feats)['seg_preds'], scale_factor=4, mode='bilinear')
    seg = samples[0].gt_sem_seg.sem_seg
    target = torch.where(seg == 255, 255, torch.where(seg < THINGS, STUFF, seg - THINGS))  # things: the last
    assert loss.item() == pytest.approx(0.5 * F.cross_entropy(logits, target, ignore_index=255).item(), rel=1e-5)


def test_loss_of_void_alone_is_zero(model):
    inputs, samples = with_truth()
    samples[0].gt_sem_seg.sem_seg[:] = 255
    with torch.no_grad():
        assert model.semantic_head.loss(model.extract_feat(inputs), samples)['loss_seg'] == 0


@pytest.mark.parametrize('rescale', [False, True])
def test_classes_are_those_of_logits_brought_to_full_size_at_once(rescale):
    head = StuffHead(num_things_classes=THINGS, num_stuff_classes=STUFF, in_channels=32, inner_channels=32)
    torch.manual_seed(0)
    feats = [torch.randn(1, 32, 32 // 2**i, 24 // 2**i) for i in range(4)]
    meta = dict(batch_input_shape=(128, 96), img_shape=(120, 90), ori_shape=(311, 233))
    with torch.no_grad():
        (found,) = head.predict(feats, [meta], rescale=rescale)
        logits = F.interpolate(head(feats)['seg_preds'], (128, 96), mode='bilinear')[..., :120, :90]
        if rescale:
            logits = F.interpolate(logits, (311, 233), mode='bilinear')
    assert found.dtype == torch.uint8 and len(found.unique()) >= 3
    assert (found != logits[0].argmax(dim=0)).sum() <= tolerances.PIXELS
    # as an exported model does it without torch
    size = (233, 311) if rescale else (90, 120)
    with torch.no_grad():
        classes = classify_pixels(head(feats)['seg_preds'][0].numpy(), (96, 128), (90, 120), size)
    assert (found.numpy() != classes).sum() <= tolerances.PIXELS


def fuse(scores, labels, masks, stuff, **test_cfg):
    head = PanopticFusionHead(
        num_things_classes=THINGS,
        num_stuff_classes=STUFF,
        test_cfg=dict(dict(score_thr=0.5, mask_overlap=0.5, stuff_area_limit=0), **test_cfg),
    )
    things = InstanceData(scores=torch.tensor(scores), labels=torch.tensor(labels, dtype=torch.long), masks=masks)
    (result,) = head.predict([things], [torch.tensor(stuff, dtype=torch.uint8)])
    assert result.sem_seg.dtype == torch.int32
    return result.sem_seg[0].tolist()


ROW = [[[1, 1, 1, 0, 0, 0]], [[0, 0, 1, 1, 0, 0]], [[0, 1, 1, 0, 0, 0]], [[0, 0, 0, 0, 0, 1]]]


@pytest.mark.parametrize('as_rle', [False, True])
def test_fusion_by_hand(as_rle):
    """The best takes its pixels whole, half of the next is left, of the third nothing; the last is doubtful."""
    masks = torch.tensor(ROW, dtype=torch.bool)
    if as_rle:
        masks = [mask_api.encode(np.asfortranarray(mask.numpy().astype(np.uint8))) for mask in masks]
    found = fuse([0.9, 0.8, 0.7, 0.4], [0, 1, 1, 0], masks, [[0, 0, 0, 0, 1, 3]])
    # label + 1000 x number; stuff 1 is label 3; where things are said to be but none is, void, 5
    assert found == [[1000, 1000, 1000, 2001, 3, 5]]


def test_fusion_follows_the_scores_and_the_limits():
    masks = torch.tensor(ROW, dtype=torch.bool)
    assert fuse([0.5, 0.6, 0.7, 0.4], [0, 1, 1, 0], masks, [[2, 2, 2, 2, 2, 2]])[0] == [4, 1001, 1001, 2001, 4, 4]
    # a third of the first is taken, which is more than a quarter; two pixels of stuff are fewer than three
    limits = dict(mask_overlap=0.25, stuff_area_limit=3)
    assert fuse([0.6, 0.9, 0.1, 0.1], [0, 1, 1, 0], masks, [[2, 2, 0, 0, 0, 0]], **limits)[0] == [
        5,
        5,
        1001,
        1001,
        5,
        5,
    ]
    assert fuse([], [], [], [[2, 2, 0]], stuff_area_limit=2)[0] == [4, 4, 5]


def test_predicts_at_the_size_of_the_original_image(model):
    model.bbox_head.test_cfg.score_thr = 0.0
    inputs, samples = with_truth()
    samples[0].set_metainfo(dict(ori_shape=(144, 144), scale_factor=(96 / 144, 96 / 144)))
    with torch.no_grad():
        result = model.predict(inputs, samples)[0]
    assert isinstance(result, DetDataSample) and result.pred_panoptic_seg.sem_seg.shape == (1, 144, 144)
    assert len(result.pred_instances) > 0 and result.pred_instances.masks[0]['size'] == [144, 144]


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        (dict(num_stuff_classes=0), 'num_stuff_classes must be a whole number of at least 1, not 0'),
        (dict(num_stuff_classes=200, num_classes=80), 'more than 254 together'),
        (dict(num_classes='many'), "num_classes must be a whole number of at least 1, not 'many'"),
    ],
)
def test_numbers_of_classes_are_checked(changes, sentence):
    cfg = small_config()
    cfg.update(changes)
    with pytest.raises(ConfigError, match=sentence), torch.device('meta'):
        MODELS.build(cfg)


def test_boxes_and_masks_do_not_depend_on_the_finest_level(model):
    """Boxes read P3..P7 and masks P3..P5, so another P2 changes stuff alone."""
    model.bbox_head.test_cfg.score_thr = 0.0
    inputs, samples = with_truth()
    with torch.no_grad():
        feats = model.extract_feat(inputs)
        assert len(feats) == 6 and [feat.shape[-1] for feat in feats] == [24, 12, 6, 3, 2, 1]
        one = model.predict_by_feat(feats, copy.deepcopy(samples))[0].pred_instances
        other = model.predict_by_feat((feats[0] + 100, *feats[1:]), copy.deepcopy(samples))[0].pred_instances
    assert len(one) > 0 and torch.equal(one.bboxes, other.bboxes) and one.masks == other.masks
