"""Our models' answers equal the official implementation's, within the tolerances of float32.

By default one case is compared whole, the others as far as is cheap; `make test-slow` compares all of them.
"""

import copy

import numpy as np
import pytest
import tolerances
import torch
from mmdet.structures.bbox import bbox2roi
from official_case import batch, build_model, converted, known_answers, match, official_masks, relative

WHOLE = 'centermask_lite_V_19_slim_dw_eSE_FPN_ms_4x'
CHEAP = ['centermask_lite_Mv2_FPN_ms_4x', 'centermask_R_50_FPN_ms_3x', 'centermask_V_39_eSE_dcn_FPN_ms_3x']
ALL = [WHOLE, *CHEAP, 'centermask_V_39_eSE_FPN_ms_3x']
LOSSES = {
    'loss_cls': 'loss_fcos_cls',
    'loss_bbox': 'loss_fcos_loc',
    'loss_centerness': 'loss_fcos_ctr',
    'loss_mask': 'loss_mask',
    'loss_mask_iou': 'loss_maskiou',
}


def cases(default):
    return [pytest.param(name, marks=() if name in default else pytest.mark.slow) for name in ALL]


@pytest.mark.parametrize('name', cases([WHOLE, *CHEAP]))
def test_features_and_logits(name):
    case, model = known_answers(name), build_model(name)
    with torch.no_grad():
        feats = model.extract_feat(batch(case, model)[0])
        outputs = model.bbox_head(feats)
    assert len(feats) == 5
    for level, feat in enumerate(feats, start=3):
        assert relative(feat[:, ::16, ::4, ::4], case[f'feat/p{level}'], feat) < tolerances.MAPS
        stats = [feat.mean(), feat.std(), feat.abs().max()]
        assert relative(stats, case[f'feat_stat/p{level}']) < tolerances.MAPS
    for kind, step, levels in zip(('cls', 'reg', 'ctr'), (8, 1, 1), outputs, strict=True):
        for i, level in enumerate(levels):
            assert relative(level[:, ::step, ::4, ::4], case[f'{kind}/{i}'], level) < tolerances.MAPS


@pytest.mark.parametrize('name', cases([WHOLE]))
def test_detections_and_masks(name):
    case, model = known_answers(name), build_model(name)
    inputs, samples = batch(case, model)
    with torch.no_grad():
        feats = model.extract_feat(inputs)
        detections = model.bbox_head.predict(feats, samples, rescale=False)
        rois = bbox2roi([d.bboxes for d in detections])
        areas = rois.new_tensor([s.img_shape[0] * s.img_shape[1] for s in samples])[rois[:, 0].long()]
        levels = model.roi_head.mask_roi_extractor.map_roi_levels(rois, areas) + 3
        logits = model.roi_head.forward(feats, detections, samples)[0]
        labels = torch.cat([d.labels for d in detections])
        probs = logits[torch.arange(len(labels)), labels].sigmoid()
        final = model.roi_head.predict(feats, copy.deepcopy(detections), samples)
    start = 0
    for i, (found, result) in enumerate(zip(detections, final, strict=True)):
        theirs = {key: case[f'det/{i}/{key}'] for key in ('boxes', 'scores', 'mask_scores', 'mask_probs', 'roi_level')}
        assert len(found) == len(result) == len(theirs['boxes']) == 20
        order = match(found.bboxes.numpy(), found.labels.numpy(), case, i)
        mine = slice(start, start := start + len(found))
        assert np.abs(found.bboxes.numpy() - theirs['boxes'][order]).max() < tolerances.REFERENCE_BOXES
        assert np.abs(found.scores.numpy() - theirs['scores'][order]).max() < tolerances.SCORES
        assert (levels[mine].numpy() == theirs['roi_level'][order]).all()
        assert np.abs(probs[mine].numpy() - theirs['mask_probs'][order]).max() < tolerances.SCORES
        assert np.abs(result.mask_scores.numpy() - theirs['mask_scores'][order]).max() < tolerances.SCORES
        assert torch.equal(result.scores, found.scores)
        assert np.abs(result.bboxes.numpy() - case[f'det/{i}/final_boxes'][order]).max() < tolerances.REFERENCE_BOXES
        masks = official_masks(case, i)[order]
        assert result.masks.shape == masks.shape and masks.any(axis=(1, 2)).sum() > 10
        for ours, official in zip(result.masks.numpy(), masks, strict=True):
            different = (ours ^ official).sum()
            assert different <= 2 or different / (ours | official).sum() <= 0.01


@pytest.mark.parametrize('name', cases([WHOLE]))
def test_losses_and_gradients(name):
    case, model = known_answers(name), build_model(name)
    inputs, samples = batch(case, model)
    model.train()
    losses = {
        key: sum(value) if isinstance(value, list) else value for key, value in model.loss(inputs, samples).items()
    }
    assert losses.keys() == LOSSES.keys()
    for key, official in LOSSES.items():
        assert losses[key].item() == pytest.approx(float(case[f'loss/{official}']), rel=tolerances.LOSSES), key
    sum(losses.values()).backward()
    ours = {official: name for name, official in converted(name).official.items()}
    parameters = dict(model.named_parameters())
    norms = [key.removeprefix('grad_norm/') for key in case if key.startswith('grad_norm/')]
    assert len(norms) == 8
    for official in norms:
        loose = any(part in official for part in ('spatialAtt', 'fpn', 'maskiou'))
        norm = parameters[ours[official]].grad.norm().item()
        expected = float(case[f'grad_norm/{official}'])
        bound = tolerances.KINKED_GRADIENTS if loose else tolerances.GRADIENTS
        assert norm == pytest.approx(expected, rel=bound), official


def test_image_in_a_batch_equals_the_image_alone_at_the_same_padded_size():
    model = build_model(WHOLE)
    inputs, samples = batch(known_answers(WHOLE), model)
    assert samples[0].img_shape != samples[1].img_shape
    with torch.no_grad():
        together = [s.pred_instances for s in model.predict(inputs, copy.deepcopy(samples))]
        alone = [model.predict(inputs[i : i + 1], copy.deepcopy(samples[i : i + 1]))[0].pred_instances for i in (0, 1)]
    for one, other in zip(together, alone, strict=True):
        assert len(one) == 20
        tolerances.assert_same_detections(one, other)
