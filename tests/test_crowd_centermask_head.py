"""Crowds: no background where objects of their class are, and no targets of the mask branch."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.structures import InstanceData

from conftest import build, sample, small_config
from mmcentermask.models import CenterMaskHead

STRIDES = (8, 16, 32, 64, 128)
CROWD, LABEL = [30.0, 30.0, 100.0, 70.0], 1
OBJECT = [40.0, 40.0, 64.0, 64.0]


def with_crowd(data_sample, boxes, labels):
    data_sample.ignored_instances.bboxes = torch.tensor(boxes).reshape(-1, 4)
    data_sample.ignored_instances.labels = torch.tensor(labels, dtype=torch.long)
    return data_sample


def loss_and_gradient(kind, boxes, labels, crowds, crowd_labels, loss_cls=None):
    """Loss of random predictions for one image of 128 x 128, and its gradient at the class logits."""
    cfg = small_config().bbox_head
    cfg.update(type=kind, num_classes=3)
    if loss_cls is not None:
        cfg.loss_cls = loss_cls
    head = MODELS.build(cfg)
    torch.manual_seed(3)
    cls_scores = [torch.randn(1, 3, 128 // s, 128 // s, requires_grad=True) for s in STRIDES]
    others = [[torch.rand(1, n, 128 // s, 128 // s) + 0.5 for s in STRIDES] for n in (4, 1)]
    gt = InstanceData(bboxes=torch.tensor(boxes).reshape(-1, 4), labels=torch.tensor(labels, dtype=torch.long))
    crowd = InstanceData(
        bboxes=torch.tensor(crowds).reshape(-1, 4), labels=torch.tensor(crowd_labels, dtype=torch.long)
    )
    losses = head.loss_by_feat(cls_scores, *others, [gt], [dict(img_shape=(128, 128))], [crowd])
    losses['loss_cls'].backward()
    return losses, [scores.grad for scores in cls_scores], cls_scores


def inside(stride):
    """Whether a level's points, at (x + 0.5) * stride, lie in the crowd: (H, W)."""
    at = (torch.arange(128 // stride) + 0.5) * stride
    return ((at >= 30) & (at <= 70))[:, None] & ((at >= 30) & (at <= 100))[None]


LOSSES = [None, dict(type='CrossEntropyLoss', use_sigmoid=True)]


def test_the_crowds_class_is_left_out_at_the_points_inside_of_it():
    _, plain, _ = loss_and_gradient('CenterMaskHead', [], [], [CROWD], [LABEL])
    _, crowd, _ = loss_and_gradient('CrowdCenterMaskHead', [], [], [CROWD], [LABEL])
    for stride, without, found in zip(STRIDES, plain, crowd):
        hidden = inside(stride)
        assert (without[0] != 0).all()  # as background
        assert (found[0, LABEL, hidden] == 0).all()
        torch.testing.assert_close(found[0, LABEL, ~hidden], without[0, LABEL, ~hidden])
        torch.testing.assert_close(found[0, [0, 2]], without[0, [0, 2]])
    assert inside(8).sum() == 5 * 9 and inside(128).sum() == 1


def test_the_loss_is_that_of_the_other_points():
    """Background of focal loss by hand: (1 - alpha) p^gamma * -log(1 - p), over at least one positive."""
    losses, _, scores = loss_and_gradient('CrowdCenterMaskHead', [], [], [CROWD], [LABEL])
    expected = 0
    for stride, level in zip(STRIDES, scores):
        count = torch.ones(3, 128 // stride, 128 // stride)
        count[LABEL][inside(stride)] = 0
        p = level[0].sigmoid()
        expected = expected + (count * 0.75 * p**2 * -torch.log(1 - p)).sum()
    torch.testing.assert_close(losses['loss_cls'], expected)


def test_an_object_of_the_crowds_class_inside_of_it_is_learnt():
    _, plain, _ = loss_and_gradient('CenterMaskHead', [OBJECT], [LABEL], [CROWD], [LABEL])
    losses, crowd, _ = loss_and_gradient('CrowdCenterMaskHead', [OBJECT], [LABEL], [CROWD], [LABEL])
    # its centre (52, 52) is the point of column and row 6 of stride 8
    assert crowd[0][0, LABEL, 6, 6] < 0  # towards the object
    assert crowd[0][0, LABEL, 6, 6] == plain[0][0, LABEL, 6, 6]
    assert crowd[0][0, LABEL, 6, 10] == 0 != plain[0][0, LABEL, 6, 10]
    others = loss_and_gradient('CenterMaskHead', [OBJECT], [LABEL], [], [])[0]
    for name in ('loss_bbox', 'loss_centerness'):
        assert losses[name] == others[name]


def test_an_object_of_another_class_does_not_make_the_crowd_background():
    _, crowd, _ = loss_and_gradient('CrowdCenterMaskHead', [OBJECT], [2], [CROWD], [LABEL])
    assert crowd[0][0, LABEL, 6, 6] == 0 and crowd[0][0, 2, 6, 6] < 0


@pytest.mark.parametrize('loss_cls', LOSSES, ids=['focal', 'bce'])
def test_without_crowds_nothing_differs(loss_cls):
    loss_cls = loss_cls or small_config().bbox_head.get('loss_cls')
    plain, _, _ = loss_and_gradient('CenterMaskHead', [OBJECT], [0], [], [], loss_cls)
    crowd, _, _ = loss_and_gradient('CrowdCenterMaskHead', [OBJECT], [0], [], [], loss_cls)
    assert {name: value.item() for name, value in plain.items()} == {n: v.item() for n, v in crowd.items()}


def test_the_model_trains_on_a_crowd_alone_and_its_mask_branch_does_not_see_it():
    cfg = small_config()
    cfg.bbox_head.type = 'CrowdCenterMaskHead'
    model = build(cfg)
    assert isinstance(model.bbox_head, CenterMaskHead)
    images = torch.randn(2, 3, 128, 128)
    samples = [
        with_crowd(sample(128, 128, [OBJECT], [0]), [CROWD], [LABEL]),
        with_crowd(sample(128, 128), [CROWD], [LABEL]),
    ]
    losses = model.loss(images, samples)
    seen = []
    model.roi_head.mask_loss = lambda x, sampling_results, *args: seen.extend(sampling_results) or {}
    model.loss(images, samples)
    assert [len(result.pos_priors) for result in seen] == [1, 0]  # the object's own box
    sum(losses.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
