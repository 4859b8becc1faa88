"""Parts of CenterMask in mmdet's models, and mmdet's parts in CenterMask."""

import functools
import importlib.util

import pytest
import tolerances
import torch
from mmdet.models.dense_heads import FCOSHead
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from shrink import NUM_CLASSES, shrink

from conftest import ROOT, build, published, sample, small_config

MIXED = ROOT / 'configs' / 'mixed'
NAMES = published(MIXED)
BOXES, LABELS = [[10, 12, 60, 70], [40, 30, 94, 78], [5, 60, 25, 78]], [0, 1, 2]
WITHOUT_MASKS = ('faster-rcnn', 'retinanet', 'atss')  # mmdet's models that find boxes only


@functools.cache
def parsed(name):
    if 'convnext' in name and importlib.util.find_spec('mmpretrain') is None:
        pytest.skip('ConvNeXt is in mmpretrain, which is not installed')
    return Config.fromfile(MIXED / f'{name}.py')


def small(name):
    return shrink(parsed(name).model)


def row(name):
    """The cells of a config's row in the table of README.md."""
    lines = [line for line in (MIXED / 'README.md').read_text().splitlines() if f'({name}.py)' in line]
    assert len(lines) == 1, f'README.md has {len(lines)} rows for {name}.py'
    return [cell.strip() for cell in lines[0].strip('|').split('|')]


@pytest.mark.parametrize('name', NAMES)
def test_builds_with_the_parameters_that_the_readme_gives(name):
    cfg = parsed(name).model
    # these compute with tensors while they are built, which have no values on meta
    computing = cfg.backbone.type in ('SwinTransformer', 'PyramidVisionTransformerV2', 'mmpretrain.ConvNeXt')
    with torch.device('cpu' if computing else 'meta'):
        model = MODELS.build(cfg)
    assert row(name)[2] == f'{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M'


# -- proposals in training are boxes in evaluation


def proposals_and_boxes(head):
    """The proposals of a head in training, and its boxes in evaluation, of the same features and weights."""
    torch.manual_seed(0)
    head.init_weights()
    for parameter in head.parameters():  # at the start, refined and unrefined distances are nearly the same
        parameter.data += 0.03 * torch.randn_like(parameter)
    feats = tuple(torch.randn(2, head.in_channels, side, side) for side in (12, 6, 3, 2, 1))
    samples = [sample(96, 96, BOXES, LABELS), sample(80, 96, BOXES[:1], [1], padded=(96, 96))]
    cfg = Config(dict(score_thr=0.0, nms_pre=100, nms=dict(type='nms', iou_threshold=0.6), max_per_img=30))
    _, proposals = head.train().loss_and_predict(feats, samples, proposal_cfg=cfg)
    head.test_cfg = cfg
    with torch.no_grad():
        boxes = head.eval().predict(feats, samples)
    return proposals, boxes


def same(proposals, boxes):
    return all(
        len(a) == len(b)
        and torch.allclose(a.bboxes, b.bboxes, rtol=0, atol=tolerances.BOXES)
        and torch.allclose(a.scores, b.scores, rtol=0, atol=tolerances.SCORES)
        for a, b in zip(proposals, boxes)
    )


@pytest.mark.parametrize('kind', ['centermask', 'atss', 'gfl', 'vfnet'])
def test_proposals_in_training_are_the_boxes_of_evaluation(kind):
    cfg = small_config() if kind == 'centermask' else small(f'centermask_r50_{kind}_fpn_ms-3x_coco')
    proposals, boxes = proposals_and_boxes(MODELS.build(cfg).bbox_head)
    for a, b in zip(proposals, boxes):
        assert len(a) >= 5 and len(a.labels.unique()) > 1
        assert a.bboxes.std(dim=0).min() > 1
        torch.testing.assert_close(a.bboxes, b.bboxes, rtol=0, atol=tolerances.BOXES)
        torch.testing.assert_close(a.scores, b.scores, rtol=0, atol=tolerances.SCORES)
        assert torch.equal(a.labels, b.labels)


ATSS = dict(assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1, debug=False)
HEAD = dict(in_channels=32, feat_channels=32, stacked_convs=1, num_classes=NUM_CLASSES)
STRIDES = [8, 16, 32, 64, 128]
REFUSED = {
    'VFNetHead': dict(strides=STRIDES, train_cfg=ATSS),
    'FCOSHead': dict(strides=STRIDES, norm_on_bbox=True),
    'NASFCOSHead': dict(strides=STRIDES, norm_on_bbox=True),
    'CenterNetUpdateHead': dict(strides=STRIDES),
    'RepPointsHead': dict(
        point_feat_channels=32,
        point_strides=STRIDES,
        train_cfg=dict(
            init=dict(assigner=dict(type='PointAssigner', scale=4, pos_num=1), pos_weight=-1),
            refine=dict(
                assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, ignore_iof_thr=-1),
                pos_weight=-1,
            ),
        ),
    ),
}


def with_head(**head):
    cfg = small_config()
    cfg.train_cfg.update(head.pop('train_cfg', {}))
    cfg.bbox_head = head
    return cfg


@pytest.mark.parametrize('name', REFUSED)
def test_a_head_whose_proposals_would_differ_is_refused_and_would_differ(name):
    head = dict(type=name, **HEAD, **REFUSED[name])
    with pytest.raises(ValueError, match=f'{name} cannot be the bbox_head, because .* would not be .*: use .*[.]$'):
        MODELS.build(with_head(**head))
    head = MODELS.build(head)
    if name == 'RepPointsHead':
        with pytest.raises(RuntimeError, match='shape'):  # of 9 points, where boxes are expected
            proposals_and_boxes(head)
    else:
        assert not same(*proposals_and_boxes(head))


def test_fcos_in_pixels_is_accepted_and_equal():
    model = MODELS.build(with_head(type='FCOSHead', **HEAD, strides=STRIDES))
    proposals, boxes = proposals_and_boxes(model.bbox_head)
    assert same(proposals, boxes) and min(map(len, boxes)) > 0


GUIDED = dict(
    **dict.fromkeys(('assigner', 'ga_assigner'), dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5)),
    ga_sampler=dict(type='RandomSampler', num=16, pos_fraction=0.5),
)


@pytest.mark.parametrize(
    'name, more, reason',
    [
        ('CenterNetHead', dict(num_classes=NUM_CLASSES), 'does not decode proposals by'),
        ('GARetinaHead', dict(num_classes=NUM_CLASSES, train_cfg=GUIDED), 'leaves locations out in evaluation only'),
        ('SOLOHead', dict(num_classes=NUM_CLASSES), 'is no dense head'),
        ('YOLACTHead', dict(num_classes=NUM_CLASSES, train_cfg=GUIDED), 'does not decode proposals by'),
    ],
)
def test_a_head_that_cannot_propose_is_refused(name, more, reason):
    with pytest.raises(ValueError, match=f'{name} cannot be the bbox_head, because .*{reason}.*: use .*[.]$'):
        MODELS.build(with_head(type=name, in_channels=32, feat_channels=32, **more))


def test_a_subclass_that_decodes_itself_is_taken_at_its_word():
    class Honest(FCOSHead):
        def predict_by_feat(self, cls_scores, bbox_preds, score_factors, **kwargs):
            return super().predict_by_feat(cls_scores, bbox_preds, score_factors, **kwargs)

    model = MODELS.build(with_head(type=Honest, **HEAD, strides=STRIDES, norm_on_bbox=True))
    assert type(model.bbox_head) is Honest


# -- HTC's flow of mask information


def test_htc_head_passes_features_on_and_attends():
    torch.manual_seed(0)
    head = MODELS.build(
        dict(type='HTCSAGMaskHead', num_convs=1, in_channels=8, conv_out_channels=8, num_classes=NUM_CLASSES)
    )
    head.init_weights()
    x, before = torch.randn(2, 8, 14, 14), torch.randn(2, 8, 14, 14)
    logits, feat = head(x, before)
    assert logits.shape == (2, NUM_CLASSES, 28, 28) and feat.shape == (2, 8, 14, 14)
    by_hand = head.convs[0](x + head.conv_res(before))
    torch.testing.assert_close(feat, by_hand)
    torch.testing.assert_close(logits, head.predict_logits(by_hand))
    torch.testing.assert_close(head(x, before, return_feat=False), logits)
    torch.testing.assert_close(head(x, before, return_logits=False), feat)
    assert not torch.allclose(head(x, return_feat=False), logits)


# -- Mask Scoring R-CNN


def batch(cfg):
    """Two images, enlarged twice, with ground truth as the config's pipeline gives it."""
    torch.manual_seed(0)
    pipeline = cfg.train_dataloader.dataset.pipeline
    load = next(t for t in pipeline if 'Annotations' in t.type)
    height = 96 if any(t.type == 'Pad' for t in pipeline) else 80  # of the second image
    samples = [sample(96, 96, BOXES, LABELS), sample(height, 96, BOXES[:2], LABELS[:2])]
    for s in samples:
        height, width = s.img_shape
        s.set_metainfo(dict(ori_shape=(height // 2, width // 2), scale_factor=(2.0, 2.0)))
        if load.type == 'LoadAnnotations' and load.get('poly2mask', True):
            s.gt_instances.masks = BitmapMasks(s.gt_instances.masks.to_ndarray().astype('uint8'), height, width)
            s.ignored_instances.masks = BitmapMasks([], height, width)
    images = [torch.randint(0, 256, (3, *s.img_shape), dtype=torch.uint8) for s in samples]
    return dict(inputs=images, data_samples=samples)


def test_mask_scoring_rcnn_gives_the_head_logits_and_keeps_the_box_scores(monkeypatch):
    name = 'ms-rcnn_r50-caffe_centermask-iou_fpn_1x_coco'
    model, seen = build(small(name)), []
    head = model.roi_head.mask_iou_head
    get_targets = head.get_targets
    monkeypatch.setattr(head, 'get_targets', lambda **kw: seen.append((kw, get_targets(**kw))) or seen[-1][1])
    data = model.data_preprocessor(batch(parsed(name)), True)
    losses = model.train()(**data, mode='loss')
    ((given, target),) = seen
    assert losses['loss_mask_iou'] > 0
    assert given['mask_preds'].min() < 0 < given['mask_preds'].max()  # logits of the true class
    assert len(target) == len(given['mask_targets']) > 0 and target.min() >= 0 and target.max() <= 1
    # by hand for objects that their RoI contains: a prediction equal to the target has IoU 1
    equal = dict(given, mask_preds=given['mask_targets'] - 0.5)
    assert get_targets(**equal).max() == pytest.approx(1, abs=0.02)

    def predict():
        with torch.no_grad():
            return model.eval().test_step(batch(parsed(name)))[0].pred_instances

    out = predict()
    assert len(out) > 0 and not torch.equal(out.scores, out.mask_scores)
    monkeypatch.setattr(head, 'predict_by_feat', lambda mask_iou_preds, results_list: results_list)
    assert torch.equal(predict().scores, out.scores)


# -- training


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_trains_20_iterations_and_predicts(name):
    cfg = parsed(name)
    model = build(shrink(cfg.model)).train()

    data = model.data_preprocessor(batch(cfg), True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    model.zero_grad()

    optim_wrapper = cfg.optim_wrapper
    optim_wrapper.optimizer.lr = 0.001  # as in the warm-up
    optim_wrapper = build_optim_wrapper(model, optim_wrapper)
    totals = []
    for _ in range(20):
        logged = model.train_step(batch(cfg), optim_wrapper)
        assert all(torch.isfinite(torch.as_tensor(value)).all() for value in logged.values()), logged
        totals.append(logged['loss'].item())
    assert min(totals[-3:]) < totals[0]

    with torch.no_grad():
        results = model.eval().test_step(batch(cfg))
    for result in results:
        found = result.pred_instances
        assert len(found) > 0 and torch.isfinite(found.bboxes).all() and torch.isfinite(found.scores).all()
        assert found.labels.max() < NUM_CLASSES
        if name.startswith(WITHOUT_MASKS):
            assert 'masks' not in found
        else:
            assert found.masks.shape == (len(found), *result.ori_shape)
        assert ('mask_scores' in found) is name.startswith(('centermask', 'ms-rcnn'))
