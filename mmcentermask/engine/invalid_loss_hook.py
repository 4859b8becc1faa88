"""Stops training, or leaves a batch out, where a loss is NaN or infinite."""

from typing import Any

import torch
from mmdet.engine.hooks import CheckInvalidLossHook
from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object, all_reduce
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor

from ..errors import InvalidLossError

_NAMED = 8  # images to name in a message
_HINT = (
    'look at these images, lower the learning rate, or leave such batches out by skip=True of InvalidLossHook, '
    'in our configs --cfg-options default_hooks.invalid_loss.skip=True'
)


def _images(data_batch: Any) -> list[str]:
    """Return the image files of a batch, as far as its data samples tell them."""
    samples = data_batch.get('data_samples', []) if isinstance(data_batch, dict) else []
    return [str(sample.img_path) for sample in samples if 'img_path' in sample]


def _listed(images: list[str]) -> str:
    more = f' and {len(images) - _NAMED} more' if len(images) > _NAMED else ''
    return ', '.join(images[:_NAMED]) + more if images else 'unknown'


@HOOKS.register_module()
class InvalidLossHook(CheckInvalidLossHook):
    """Stops training where a loss is NaN or infinite, and says which one, in which iteration, with which images.

    Losses are looked at every ``interval`` iterations, all since the last look at once, so that the accelerator
    is seldom waited for; besides at the last iteration, before validation and before ResumableCheckpointHook
    saves. A checkpoint with weights that are not finite is never written, whatever made them so. Of several
    processes all stop where one has such a loss.

    With ``skip`` such a batch changes nothing: no process steps, the buffers of the model (statistics of batch
    norms) are put back, and with gradient accumulation the other batches of the same step are lost with it. It
    is logged and counted, as ``skipped_batches`` in the log and the checkpoints. This looks at the loss before
    every backward pass, which costs a wait for the accelerator an iteration.

    Args:
        interval (int): Iterations from look to look; without meaning with ``skip``. Defaults to 50.
        skip (bool): Leave such batches out instead of stopping. Defaults to False.
        max_in_a_row (int): Stop nevertheless where more than so many follow each other: then not the batches are
            at fault. Defaults to 10.
    """

    def __init__(self, interval: int = 50, skip: bool = False, max_in_a_row: int = 10) -> None:
        super().__init__(interval)
        self.skip = skip
        self.max_in_a_row = max_in_a_row
        self._seen: list[tuple[int, dict[str, Tensor], list[str]]] = []  # iteration, losses, images
        self._buffers: list[Tensor] = []
        self._invalid = False  # the batch of this iteration
        self._step_lost = False  # or one before it, of the same step
        self._in_a_row = 0

    def before_train(self, runner: Runner) -> None:
        """With ``skip``, stand between the loss and the optimizer."""
        wrapper = runner.optim_wrapper
        if not self.skip:
            return
        if not isinstance(wrapper, OptimWrapper):
            raise TypeError(f'InvalidLossHook: skip=True needs an OptimWrapper, not {type(wrapper).__name__}.')
        backward, step = wrapper.backward, wrapper.step

        def guarded_backward(loss: Tensor, **kwargs) -> None:
            if self._all_finite([loss]):
                backward(loss, **kwargs)
                return
            self._invalid = self._step_lost = True
            wrapper._inner_count += 1  # as OptimWrapper asks of any other backward

        def guarded_step(**kwargs) -> None:
            if not self._step_lost:
                step(**kwargs)
            self._step_lost = False

        wrapper.backward, wrapper.step = guarded_backward, guarded_step

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """With ``skip``, remember the buffers, which the forward pass may spoil."""
        if self.skip:
            self._buffers = [buffer.clone() for buffer in runner.model.buffers()]

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Tensor] | None = None
    ) -> None:
        """Keep the losses of an iteration, and check them every ``interval`` iterations.

        Raises:
            InvalidLossError: If one is NaN or infinite, in this process or another.
        """
        losses = {name: value.detach() for name, value in (outputs or {}).items() if 'loss' in name}
        if not self.skip:
            self._seen.append((runner.iter + 1, losses, _images(data_batch)))
            if self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner):
                self._look()
        elif self._invalid:
            self._seen = [(runner.iter + 1, losses, _images(data_batch))]
            self._leave_out(runner)
        else:
            self._in_a_row = 0

    def before_val(self, runner: Runner) -> None:
        """Look at the losses before time goes into validation."""
        self._look()

    def before_checkpoint(self, runner: Runner) -> None:
        """Look at the losses, in every process, before ResumableCheckpointHook saves."""
        self._look()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to save non-finite weights, with InvalidLossError."""
        if told := self._first_invalid():  # mmengine's own hook saves without a look, and in one process only
            raise InvalidLossError(f'{told}: {_HINT}.')
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        trained = {name for name, _ in model.named_parameters()}
        bad = [
            name for name, value in checkpoint['state_dict'].items() if name in trained and not value.isfinite().all()
        ]
        if bad:
            raise InvalidLossError(
                f'{len(bad)} of the weights are NaN or infinite by iteration {runner.iter + 1} ({_listed(bad)}), so '
                'they were not saved: go on from the checkpoint before with a lower learning rate or with gradient '
                'clipping, optim_wrapper.clip_grad.max_norm=10.'
            )

    @staticmethod
    def _all_finite(values: list[Tensor]) -> bool:
        """Whether all values are finite in every process."""
        finite = torch.isfinite(torch.stack([value.detach().float() for value in values])).all().float()
        all_reduce(finite, 'min')
        return bool(finite)

    def _first_invalid(self) -> str | None:
        """Say in what iteration of this process, not looked at so far, a loss is invalid."""
        for iteration, losses, images in self._seen:
            bad = {name: value.item() for name, value in losses.items() if not value.isfinite().all()}
            if len(bad) > 1:
                bad.pop('loss', None)  # the sum of the others
            if bad:
                values = ' and '.join(f'{name} is {value}' for name, value in bad.items())
                return f'in iteration {iteration} {values} (images: {_listed(images)})'
        return None

    def _look(self) -> None:
        values = [value for _, losses, _ in self._seen for value in losses.values()]
        if values and not self._all_finite(values):
            raise InvalidLossError(f'{self._told_by_all()}: {_HINT}.')
        self._seen = []

    def _told_by_all(self) -> str:
        return '; '.join(dict.fromkeys(told for told in all_gather_object(self._first_invalid()) if told))

    def _leave_out(self, runner: Runner) -> None:
        """Undo what the batch did, and count it."""
        for buffer, before in zip(runner.model.buffers(), self._buffers, strict=True):
            buffer.copy_(before)
        told = self._told_by_all()
        self._seen, self._invalid = [], False
        self._in_a_row += 1
        hub = runner.message_hub
        skipped = hub.get_info('skipped_batches', 0) + 1
        hub.update_info('skipped_batches', skipped)
        hub.update_scalar('train/skipped_batches', skipped)
        runner.logger.warning(f'{told}: the batch is skipped, {skipped} so far.')
        if self._in_a_row > self.max_in_a_row:
            raise InvalidLossError(
                f'{self._in_a_row} batches in a row had an invalid loss, the last {told}: lower the learning rate, '
                'for it is not the batches that are at fault.'
            )
