"""Lays the network's tensors out channels-last while it runs."""

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn


def use_channels_last(model: nn.Module) -> None:
    """Put a model's weights, and so its activations, into channels-last layout.

    Convolutions pass the layout of their weights on. The ops of mmcv are left out and get contiguous inputs: on
    CPU, RoIAlign and the deformable convolutions read a channels-last tensor as if it were contiguous, and
    return wrong numbers without an error.

    Args:
        model (nn.Module): Changed in place.
    """
    model.to(memory_format=torch.channels_last)
    for module in model.modules():
        if type(module).__module__.startswith('mmcv.ops'):
            module.to(memory_format=torch.contiguous_format)
            module.register_forward_pre_hook(_contiguous)


def _contiguous(module: nn.Module, args: tuple) -> tuple:
    return tuple(arg.contiguous() if isinstance(arg, Tensor) else arg for arg in args)


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Trains, validates and tests in channels-last layout; nothing but speed changes.

    Convolutions on CPU need no reordering in this layout, and on GPU it is the one that tensor cores want.
    """

    def before_run(self, runner: Runner) -> None:
        """Convert the runner's model."""
        use_channels_last(runner.model)
