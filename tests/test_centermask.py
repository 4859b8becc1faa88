"""The whole detector: losses, gradients, emptiness, batches, one num_classes."""

import inspect
import os

import mmdet
import pytest
import torch
from tolerances import assert_same_detections
from torch.utils._python_dispatch import TorchDispatchMode

import mmcentermask
from conftest import build, sample, small_config

BOXES = [[10, 12, 70, 90], [40, 30, 120, 100], [5, 80, 25, 100]]


def boosted(model):
    """Makes a network without training find something: classes likely, distances above zero."""
    torch.nn.init.constant_(model.bbox_head.conv_cls.bias, -1.0)
    torch.nn.init.constant_(model.bbox_head.conv_reg.bias, 3.0)
    return model


def test_losses_have_their_names_and_reach_every_parameter(small_model):
    torch.manual_seed(0)
    losses = small_model.train().loss(
        torch.randn(2, 3, 128, 128), [sample(128, 128, BOXES, [0, 1, 2]), sample(128, 100, BOXES[:1], [1])]
    )
    assert set(losses) == {'loss_cls', 'loss_bbox', 'loss_centerness', 'loss_mask', 'loss_mask_iou'}
    assert all(torch.isfinite(loss) and loss > 0 for loss in losses.values())
    sum(losses.values()).backward()
    without = [n for n, p in small_model.named_parameters() if p.grad is None]
    assert not without
    # it learns everywhere, but for the scales of levels to which no object belongs
    still = [n for n, p in small_model.named_parameters() if p.grad.abs().max() == 0 and 'scales' not in n]
    assert not still


@pytest.mark.parametrize('empty', [[True, False], [True, True]])
def test_images_without_ground_truth(small_model, empty):
    torch.manual_seed(0)
    samples = [sample(128, 128) if e else sample(128, 128, BOXES, [0, 1, 2]) for e in empty]
    losses = small_model.train().loss(torch.randn(2, 3, 128, 128), samples)
    if all(empty):
        assert losses['loss_mask'] == 0 and losses['loss_mask_iou'] == 0 and losses['loss_bbox'] == 0
    sum(losses.values()).backward()
    grads = [p.grad for p in small_model.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in grads)


def test_training_lowers_the_loss(small_model):
    torch.manual_seed(0)
    images, samples = torch.randn(1, 3, 128, 128), [sample(128, 128, BOXES, [0, 1, 2])]
    optimizer = torch.optim.AdamW(small_model.parameters(), lr=1e-3)
    totals = []
    for _ in range(6):
        losses = small_model.train().loss(images, samples)
        totals.append(float(sum(losses.values())))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
    assert totals[-1] < 0.8 * totals[0]


def test_predictions_have_both_scores_and_lie_in_the_original_image(small_model):
    torch.manual_seed(0)
    data_sample = sample(96, 128, padded=(128, 128))
    data_sample.set_metainfo(dict(ori_shape=(48, 64), scale_factor=(2.0, 2.0)))
    with torch.no_grad():
        out = boosted(small_model).eval().predict(torch.randn(1, 3, 128, 128), [data_sample])[0].pred_instances
    assert len(out) > 0
    assert out.masks.shape == (len(out), 48, 64)
    assert out.bboxes.min() >= 0 and out.bboxes[:, 2].max() <= 64 and out.bboxes[:, 3].max() <= 48
    assert out.scores.shape == out.mask_scores.shape == (len(out),)
    assert (out.scores[:-1] >= out.scores[1:]).all()


def test_an_image_in_a_batch_equals_the_image_alone(small_model):
    torch.manual_seed(0)
    images = torch.randn(2, 3, 128, 128)
    samples = [sample(128, 128), sample(100, 120, padded=(128, 128))]
    boosted(small_model).eval()
    # where every ReLU is dead the probability would be the threshold, and rounding would decide
    torch.nn.init.constant_(small_model.roi_head.mask_head.conv_logits.bias, 0.01)
    with torch.no_grad():
        together = [s.pred_instances for s in small_model.predict(images, [s.clone() for s in samples])]
        alone = [small_model.predict(images[i : i + 1], [samples[i].clone()])[0].pred_instances for i in range(2)]
    for a, b in zip(together, alone):
        assert_same_detections(a, b)


def test_no_detections(small_model):
    torch.nn.init.constant_(small_model.bbox_head.conv_cls.bias, -20.0)
    with torch.no_grad():
        out = small_model.eval().predict(torch.zeros(1, 3, 64, 96), [sample(64, 96)])[0].pred_instances
    assert out.masks.shape == (0, 64, 96) and out.bboxes.shape == (0, 4)
    assert out.scores.shape == out.mask_scores.shape == out.labels.shape == (0,)


def test_one_num_classes_reaches_every_head_and_leaves_the_config_alone():
    cfg = small_config(num_classes=7)
    before = cfg.to_dict()
    model = build(cfg)
    assert model.bbox_head.conv_cls.out_channels == 7
    assert model.roi_head.mask_head.conv_logits.out_channels == 7
    assert model.roi_head.mask_iou_head.fc_mask_iou.out_features == 7
    assert cfg.to_dict() == before


@pytest.mark.parametrize('num_classes', [0, -1, 'many', 2.5])
def test_impossible_num_classes(num_classes):
    with pytest.raises(ValueError, match='num_classes must be a whole number of at least 1, not'):
        build(small_config(num_classes=num_classes))


def test_one_class():
    model = build(small_config(num_classes=1)).train()
    losses = model.loss(torch.randn(1, 3, 128, 128), [sample(128, 128, BOXES, [0, 0, 0])])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_tensor_mode_gives_raw_outputs(small_model):
    small_model.eval()
    with torch.no_grad():
        outs = small_model(torch.zeros(1, 3, 64, 64), mode='tensor')
        with_masks = small_model(torch.zeros(1, 3, 64, 64), [sample(64, 64)], mode='tensor')
    assert [len(out) for out in outs] == [5, 5, 5]
    assert outs[0][0].shape == (1, 3, 8, 8)
    assert with_masks[-1].shape[1:] == (3, 28, 28)


def fine_config():
    """RoIs from P2..P5, boxes from P3..P7."""
    cfg = small_config()
    cfg.backbone.out_indices = (0, 1, 2, 3)
    cfg.neck.update(in_channels=[112, 256, 384, 512], num_outs=6)
    cfg.roi_head.mask_roi_extractor.update(k_min=2, featmap_strides=[4, 8, 16, 32])
    return cfg


def test_rois_from_a_level_finer_than_the_box_heads():
    model = boosted(build(fine_config()))
    images = torch.randn(1, 3, 128, 128)
    seen = {}
    model.bbox_head.register_forward_hook(lambda m, args, out: seen.update(box=args[0]))
    model.roi_head.mask_roi_extractor.register_forward_hook(lambda m, args, out: seen.update(roi=args[0]))
    losses = model.train().loss(images, [sample(128, 128, BOXES, [0, 1, 2])])
    assert [x.shape[-1] for x in seen['box']] == [16, 8, 4, 2, 1]
    assert [x.shape[-1] for x in seen['roi']] == [32, 16, 8, 4]
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    with torch.no_grad():
        out = model.eval().predict(images, [sample(128, 128)])[0].pred_instances
    assert len(out) > 0 and out.masks.shape == (len(out), 128, 128)


def test_levels_that_do_not_fit_are_refused():
    cfg = small_config()
    cfg.neck.num_outs = 4
    with pytest.raises(ValueError, match='reads 5 levels.*num_outs=4'):
        build(cfg)


class Waits(TorchDispatchMode):
    """Lists our operations after which a GPU would be waited for: sizes and values that Python needs."""

    def __init__(self):
        super().__init__()
        self.ours, theirs = (os.path.dirname(package.__file__) + os.sep for package in (mmcentermask, mmdet))
        self.packages = (self.ours, theirs)
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        waits = func.name().split('.')[0] in ('aten::_local_scalar_dense', 'aten::nonzero', 'aten::masked_select')
        if func.name().startswith(('aten::index.', 'aten::index_put')):
            waits = any(index is not None and index.dtype == torch.bool for index in args[1])
        if waits:
            place = next(frame for frame in inspect.stack() if frame.filename.startswith(self.packages))
            if place.filename.startswith(self.ours):
                self.seen.append(f'{func.name()} in {place.function}')
        return func(*args, **(kwargs or {}))


def test_the_loss_makes_a_gpu_wait_for_proposals_and_levels_only(small_model):
    torch.manual_seed(0)
    images, samples = torch.randn(2, 3, 128, 128), [sample(128, 128, BOXES, [0, 1, 2]) for _ in range(2)]
    boosted(small_model).train().loss(images, samples)  # the first looks at the norms
    with Waits() as waits:
        small_model.loss(images, samples)
    levels = len(small_model.bbox_head.strides)
    found = [place for place in waits.seen if place == 'aten::nonzero in _predict_by_feat_single']
    rest = [place for place in waits.seen if place not in found]
    assert len(found) == 2 * 2 * levels  # those above the threshold's logit, and of them those above the threshold
    # of the extractor's levels; and the threshold itself, once an image, which lies on the CPU
    assert rest.count('aten::nonzero in forward') == len(small_model.roi_head.mask_roi_extractor.roi_layers)
    assert set(rest) == {'aten::nonzero in forward', 'aten::_local_scalar_dense in _predict_by_feat_single'}
