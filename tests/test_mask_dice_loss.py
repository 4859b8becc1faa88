"""Dice on RoI masks, and cross-entropy beside it, by hand."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures.mask import PolygonMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from test_sag_mask_head import sampled

from conftest import sample
from mmcentermask.models import MaskDiceLoss, SAGMaskHead

PROBS = torch.tensor([0.9, 0.2, 0.8, 0.6]).reshape(1, 2, 2)
TARGET = torch.tensor([1.0, 0.0, 1.0, 1.0]).reshape(1, 2, 2)


def logits(other=0.0, label=1):
    """Logits of three classes; the map of class ``label`` has PROBS."""
    maps = torch.full((1, 3, 2, 2), other)
    maps[:, label] = PROBS.logit()
    return maps


def test_known_value():
    # 1 - 2 * 2.3 / (2.5 + 3)
    assert MaskDiceLoss(eps=0)(logits(), TARGET, torch.tensor([1])).item() == pytest.approx(0.163636, abs=1e-6)
    assert MaskDiceLoss(eps=0, loss_weight=3)(logits(), TARGET, torch.tensor([1])).item() == pytest.approx(0.490909)
    # squares below the line: 1 - 2 * 2.3 / (0.81 + 0.04 + 0.64 + 0.36 + 3)
    squared = MaskDiceLoss(naive_dice=False, eps=0)(logits(), TARGET, torch.tensor([1]))
    assert squared.item() == pytest.approx(1 - 4.6 / 4.85, abs=1e-6)


def test_only_the_map_of_the_own_class_counts_and_rois_are_averaged():
    loss, label = MaskDiceLoss(eps=0), torch.tensor([2])
    assert loss(logits(label=2), TARGET, label) == loss(logits(other=7.0, label=2), TARGET, label)
    two = torch.cat([logits(label=1), logits(label=2)])
    targets = torch.cat([TARGET, 1 - TARGET])
    # 2.5 - 2.3 = 0.2 of the second target's one pixel is met: 1 - 2 * 0.2 / (2.5 + 1)
    expected = (0.163636 + 1 - 0.4 / 3.5) / 2
    assert loss(two, targets, torch.tensor([1, 2])).item() == pytest.approx(expected, abs=1e-6)


def test_no_rois_give_zero_with_a_gradient():
    pred = torch.zeros(0, 3, 2, 2, requires_grad=True)
    loss = MaskDiceLoss()(pred, torch.zeros(0, 2, 2), torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0 and pred.grad is not None


def test_an_empty_target_is_finite():
    pred = torch.full((1, 3, 2, 2), -30.0)
    assert MaskDiceLoss()(pred, torch.zeros(1, 2, 2), torch.tensor([0])).item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize('agnostic', [False, True])
def test_both_losses_in_the_log_by_their_names(agnostic):
    head = SAGMaskHead(
        num_convs=1,
        in_channels=8,
        conv_out_channels=8,
        num_classes=3,
        class_agnostic=agnostic,
        loss_dice=dict(type='MaskDiceLoss', loss_weight=2.0),
    )
    result = sampled([[0, 0, 28, 28]], [0])
    result.pos_gt_labels = torch.tensor([2])
    gt = InstanceData(masks=PolygonMasks([sample(28, 28, [[0, 0, 14, 28]], [2]).gt_instances.masks.masks[0]], 28, 28))
    pred = torch.zeros(1, 1 if agnostic else 3, 28, 28)
    losses = head.loss_and_target(pred, [result], [gt], ConfigDict(mask_size=28))['loss_mask']
    assert sorted(losses) == ['loss_mask', 'loss_mask_dice']
    assert losses['loss_mask'].item() == pytest.approx(0.693147, abs=1e-6)
    # probability 0.5 everywhere, half of the pixels: 1 - 2 * 0.25 / (0.5 + 0.5)
    assert losses['loss_mask_dice'].item() == pytest.approx(2 * 0.5, abs=1e-4)


def test_cross_entropy_of_the_papers_readers():
    # both terms: -(ln .9 + ln .8 + ln .8 + ln .7) / 4
    loss = MODELS.build(dict(type='CrossEntropyLoss', use_mask=True))
    pred = torch.tensor([0.9, 0.2, 0.8, 0.3]).logit().reshape(1, 1, 2, 2)
    target = torch.tensor([1.0, 0.0, 1.0, 0.0]).reshape(1, 2, 2)
    assert loss(pred, target, torch.tensor([0])).item() == pytest.approx(0.2271, abs=5e-5)
