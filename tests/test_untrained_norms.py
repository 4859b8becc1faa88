"""The guard against training on frozen norms that hold nothing."""

import copy

import pytest
import torch
from torch import nn

from mmcentermask.models.untrained_norms import UntrainedNormGuard


def guarded(norm_eval=True):
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4))
    net.norm_eval = norm_eval
    net.register_forward_pre_hook(UntrainedNormGuard())
    return net


def test_refuses_only_frozen_untrained_training():
    x = torch.zeros(2, 3, 4, 4)
    guarded(norm_eval=False).train()(x)
    guarded().eval()(x)
    with pytest.raises(RuntimeError, match='Sequential is to be trained with frozen batch norms'):
        guarded().train()(x)


def test_a_copy_guards_itself_and_one_trained_norm_is_enough():
    net = guarded()
    clone = copy.deepcopy(net)
    net[2].running_var *= 2
    net.train()(torch.zeros(2, 3, 4, 4))
    with pytest.raises(RuntimeError):
        clone.train()(torch.zeros(2, 3, 4, 4))
