"""Our models' answers equal the official implementation's, within the tolerances of float32.

By default one case is compared whole, the others as far as is cheap; `make test-slow` compares all of them.
"""

import copy

import numpy as np
import pytest
import tolerances
import torch
from mmdet.structures.bbox import bbox2roi
from mmdet.structures.mask import PolygonMasks
from mmengine.structures import InstanceData
from official_case import (
    V1,
    batch,
    build_model,
    converted,
    known_answers,
    match,
    official_masks,
    relative,
    snap_proposals,
)

from mmcentermask.structures import crop_masks

WHOLE = 'centermask_lite_V_19_slim_dw_eSE_FPN_ms_4x'
WHOLE_V1 = 'v1/centermask_V_39_eSE_FPN_lite_res600_ms_bs16_4x'
CHEAP = [
    'centermask_lite_Mv2_FPN_ms_4x',
    'centermask_R_50_FPN_ms_3x',
    'centermask_V_39_eSE_dcn_FPN_ms_3x',
    'v1/centermask_M_v2_FPN_lite_res600_ms_bs16_4x',
    'v1/centermask_R_50_FPN_ms_3x',
    'v1/centermask_V_39_eSE_dconv_FPN_1x',
]
ALL = [WHOLE, WHOLE_V1, *CHEAP, 'centermask_V_39_eSE_FPN_ms_3x', 'v1/centermask_V_39_eSE_FPN_ms_3x']
V1_CASES = [name for name in ALL if name.startswith(V1)]
LOSSES = {
    'loss_cls': 'loss_fcos_cls',
    'loss_bbox': 'loss_fcos_loc',
    'loss_centerness': 'loss_fcos_ctr',
    'loss_mask': 'loss_mask',
    'loss_mask_iou': 'loss_maskiou',
}


def cases(default, names=ALL):
    return [pytest.param(name, marks=() if name in default else pytest.mark.slow) for name in names]


@pytest.mark.parametrize('name', cases([WHOLE, WHOLE_V1, *CHEAP]))
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


@pytest.mark.parametrize('name', cases([WHOLE, WHOLE_V1]))
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
        theirs = {key: case[f'det/{i}/{key}'] for key in ('boxes', 'scores', 'mask_probs', 'roi_level')}
        assert len(found) == len(result) == len(theirs['boxes']) == 20
        order = match(found.bboxes.numpy(), found.labels.numpy(), case, i)
        mine = slice(start, start := start + len(found))
        assert np.abs(found.bboxes.numpy() - theirs['boxes'][order]).max() < tolerances.REFERENCE_BOXES
        assert np.abs(found.scores.numpy() - theirs['scores'][order]).max() < tolerances.SCORES
        assert (levels[mine].numpy() == theirs['roi_level'][order]).all()
        assert np.abs(probs[mine].numpy() - theirs['mask_probs'][order]).max() < tolerances.SCORES
        assert (
            ('mask_scores' in result) == (f'det/{i}/mask_scores' in case) == (model.roi_head.mask_iou_head is not None)
        )
        if 'mask_scores' in result:
            assert np.abs(result.mask_scores.numpy() - case[f'det/{i}/mask_scores'][order]).max() < tolerances.SCORES
        assert torch.equal(result.scores, found.scores)
        assert_final(result, case, i, '', order)


def assert_final(result, case, i, prefix, order):
    """Final boxes and pasted masks equal the official ones, which come in another order."""
    assert (
        np.abs(result.bboxes.numpy() - case[f'det/{i}/{prefix}final_boxes'][order]).max() < tolerances.REFERENCE_BOXES
    )
    masks = official_masks(case, i, prefix)[order]
    assert result.masks.shape == masks.shape and masks.any(axis=(1, 2)).sum() >= 5
    for ours, official in zip(result.masks.numpy(), masks, strict=True):
        different = (ours ^ official).sum()
        assert different <= tolerances.PIXELS or different / (ours | official).sum() <= 1 - tolerances.IOU


@pytest.mark.parametrize('name', cases([WHOLE_V1], V1_CASES))
def test_v1_results_for_larger_images_and_counts_around_nms(name):
    case, model = known_answers(name), build_model(name)
    inputs, samples = batch(case, model)
    for data_sample, factor in zip(samples, (1.5, 1.5625), strict=True):
        height, width = data_sample.img_shape
        size = (round(height * factor), round(width * factor))
        data_sample.set_metainfo(dict(ori_shape=size, scale_factor=(1 / factor, 1 / factor)))
    test_cfg = copy.deepcopy(model.bbox_head.test_cfg)
    test_cfg.max_per_img = 100000
    metas = [data_sample.metainfo for data_sample in samples]
    with torch.no_grad():
        feats = model.extract_feat(inputs)
        outputs = model.bbox_head(feats)
        before, after = (
            model.bbox_head.predict_by_feat(*outputs, batch_img_metas=metas, cfg=test_cfg, with_nms=nms)
            for nms in (False, True)
        )
        detections = model.bbox_head.predict(feats, samples, rescale=False)
        final = model.roi_head.predict(feats, copy.deepcopy(detections), samples, rescale=True)
    for i, (found, result) in enumerate(zip(detections, final, strict=True)):
        for stage, results in (('pre_nms', before[i]), ('post_nms', after[i])):
            # a score that rounding moves over the threshold of 0.03, or past the 1000 best, adds or takes one
            assert abs(len(results) - int(case[f'{stage}/{i}/count'])) <= 2
            assert results.scores.sum().item() == pytest.approx(float(case[f'{stage}/{i}/score_sum']), abs=0.05)
            best = results.scores.sort(descending=True).values[:100]
            assert np.abs(best.numpy() - np.sort(case[f'{stage}/{i}/scores'])[::-1]).max() < tolerances.SCORES
        order = match(found.bboxes.numpy(), found.labels.numpy(), case, i)
        assert_final(result, case, i, 'big_', order)


@pytest.mark.parametrize(
    ('name', 'run'),
    [
        pytest.param(name, run, marks=() if name in (WHOLE, WHOLE_V1) else pytest.mark.slow)
        for name in ALL
        for run in ('', *(['parts_'] if name in V1_CASES else []))
    ],
)
def test_losses_and_gradients(name, run):
    case, model = known_answers(name), build_model(name)
    v1 = name.startswith(V1)
    inputs, samples = batch(case, model, two_parts=run == 'parts_', dtype=np.float32 if v1 else np.float64)
    model.train()
    if v1:
        snap_proposals(model, case, f'{run}train')
    losses = {
        key: sum(value) if isinstance(value, list) else value for key, value in model.loss(inputs, samples).items()
    }
    assert {LOSSES[key] for key in losses} == {key.split('/')[1] for key in case if key.startswith(f'{run}loss/')}
    for key, loss in losses.items():
        assert loss.item() == pytest.approx(float(case[f'{run}loss/{LOSSES[key]}']), rel=tolerances.LOSSES), key
    sum(losses.values()).backward()
    ours = {official: name for name, official in converted(name).official.items()}
    parameters = dict(model.named_parameters())
    prefix = f'{run}grad_norm/'
    norms = [key.removeprefix(prefix) for key in case if key.startswith(prefix)]
    assert len(norms) == (7 if model.roi_head.mask_iou_head is None else 8)
    for official in norms:
        loose = v1 or any(part in official for part in ('spatialAtt', 'fpn', 'maskiou'))
        norm = parameters[ours[official]].grad.norm().item()
        expected = float(case[f'{prefix}{official}'])
        bound = tolerances.KINKED_GRADIENTS if loose else tolerances.GRADIENTS
        assert norm == pytest.approx(expected, rel=bound), official


@pytest.mark.parametrize('name', cases([WHOLE_V1], [name for name in V1_CASES if 'M_v2' not in name]))
def test_v1_targets_of_masks_and_their_visible_shares(name):
    case, model = known_answers(name), build_model(name)
    for run in ('', 'parts_'):
        inputs, samples = batch(case, model, two_parts=run == 'parts_', dtype=np.float32)
        for i, data_sample in enumerate(samples):
            gt = data_sample.gt_instances
            official = case[f'{run}train/{i}/labels']
            rois = torch.from_numpy(case[f'{run}train/{i}/boxes'])
            gt.bboxes = gt.bboxes - gt.bboxes.new_tensor([0, 0, 1, 1])
            assigned = model.roi_head.bbox_assigner.assign(InstanceData(priors=rois), gt)
            positive = assigned.gt_inds > 0
            assert torch.equal(positive, torch.from_numpy(official >= 0))
            assert (assigned.labels[positive].numpy() == official[official >= 0]).all()
            inds = assigned.gt_inds[positive] - 1
            targets = crop_masks(gt.masks, rois[positive], inds, (28, 28))
            assert np.abs(targets.sum(dim=(1, 2)).numpy() - case[f'{run}train/{i}/target_area']).max() <= 1
            masks = PolygonMasks(gt.masks.masks, *data_sample.img_shape)
            ratios = model.roi_head.mask_iou_head.visible_ratios(rois[positive].numpy(), inds.numpy(), masks)
            assert np.abs(ratios - case[f'{run}train/{i}/mask_ratio']).max() < 1e-5


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
