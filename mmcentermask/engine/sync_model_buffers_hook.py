"""Makes the score of a validation that of the saved file, in runs of several processes."""

from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_reduce_params
from mmengine.hooks import EMAHook, SyncBuffersHook
from mmengine.runner import Runner


@HOOKS.register_module()
class SyncModelBuffersHook(SyncBuffersHook):
    """mmengine's SyncBuffersHook, which averages running statistics over the processes, before each checkpoint as well.

    Each process updates the statistics of its batch norms by its own images, and a checkpoint holds those of the first
    process. mmengine averages them before validation, after an IterBasedTrainLoop has saved: the score would not be
    that of the saved file. Buffers of an EMAHook's average are included. One process does nothing.

    >>> cfg.default_hooks.sync_buffers = dict(type='SyncModelBuffersHook')  # doctest: +SKIP
    """

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note that the statistics are going to differ."""
        self.called_in_train = False

    def before_checkpoint(self, runner: Runner) -> None:
        """Average before ResumableCheckpointHook saves; called in every process."""
        self._sync(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Average before validation, where no training iteration precedes as well: a resumed model is alike already."""
        self._sync(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Average after an epoch."""
        self._sync(runner)

    def _sync(self, runner: Runner) -> None:
        if not self.distributed or self.called_in_train:  # a second mean may differ from the first in the last bit
            return
        models = [runner.model, *(hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook))]
        buffers = [buffer for model in models for buffer in model.buffers() if torch.is_floating_point(buffer)]
        if buffers:
            all_reduce_params(buffers, op='mean')
        self.called_in_train = True
