"""Checkpoints from which training goes on as if it had never stopped."""

import copy
import hashlib
import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.dist import all_gather_object, broadcast_object_list, get_rank, is_main_process, master_only
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import IterBasedTrainLoop, Runner
from mmengine.runner.checkpoint import CheckpointLoader, save_checkpoint

from ..atomic_write import UNFINISHED, atomic_write
from ..errors import InputError
from .resumed_batches import resume_batches, sampler_of

_KEY = 'random_states'  # in the checkpoint
_HINT = 'make room or set permissions there, and go on with --resume; earlier files are intact'


@register_backend('atomic')
class AtomicBackend(LocalBackend):
    """mmengine's LocalBackend, chosen by ``backend_args=dict(backend='atomic')``, that writes with ``atomic_write``."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; raise OutputError if they cannot be written."""
        with atomic_write(filepath, hint=_HINT) as file:
            file.write(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text, as ``put`` does."""
        self.put(obj.encode(encoding), filepath)


def get_random_states() -> dict[str, Any]:
    """Return the states of this process, as plain values and tensors: ``python``, ``numpy``, ``torch`` and ``cuda``."""
    name, keys, *rest = np.random.get_state()
    states = dict(
        python=random.getstate(),
        numpy=(name, torch.from_numpy(keys.astype(np.int64)), *rest),  # torch's safe mode refuses NumPy's array
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available():
        states['cuda'] = torch.cuda.get_rng_state()  # of the current device
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Go on in this process from what ``get_random_states`` returned; tensors may be on any device."""
    random.setstate(states['python'])
    name, keys, *rest = states['numpy']
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states['torch'].cpu())
    if 'cuda' in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states['cuda'].cpu())


@HOOKS.register_module()
class ResumableCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, safe against being killed and exact when resumed.

    It differs in this:

    - On a local disk a checkpoint is written under another name, which ends with ``.unfinished``, and renamed
      when it is whole; ``last_checkpoint`` is written after it in the same way; checkpoints that are no longer
      kept are removed last. What a killed run left unfinished is removed when the next one begins to train.
    - The states of the random number generators of Python, NumPy and torch, a process each, are saved and restored,
      and so is the seed of the sampler. Validation leaves no trace in them. With ``num_workers=0`` on CPU resumed
      training equals uninterrupted training bit for bit; with workers it sees the same images in the same order.
    - Resuming loads none of the images before (``resume_batches``).

    With gradient accumulation make ``interval`` a multiple of ``accumulative_counts``: gradients are not saved.

    Before it saves, it calls ``before_checkpoint(runner)`` of every hook that has it, in all processes.

    Args:
        *args: As CheckpointHook.
        **kwargs: As CheckpointHook, without ``file_client_args``, which mmengine has given up.

    Raises:
        ValueError: If ``file_client_args`` is given.
    """

    def __init__(self, *args, **kwargs) -> None:
        if kwargs.get('file_client_args') is not None:
            raise ValueError(f'{type(self).__name__}: file_client_args is not supported: write backend_args instead.')
        super().__init__(*args, **kwargs)
        self._resumes = False
        self._loaded: dict | None = None  # what the checkpoint that was read says of the states
        self._to_save: dict | None = None
        self._before_val: dict | None = None  # the states that training goes on with

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep what a checkpoint says of the states, until it is known whether training resumes from it."""
        self._loaded = checkpoint.get(_KEY)

    def before_train(self, runner: Runner) -> None:
        """Find out where to write, and remove what an earlier run left unfinished."""
        super().before_train(runner)
        self._resumes = runner.iter > 0
        if type(self.file_backend) is LocalBackend:
            self.backend_args = dict(backend='atomic')
            self.file_backend = AtomicBackend()
        if is_main_process() and isinstance(self.file_backend, LocalBackend):
            for folder in {runner.work_dir, self.out_dir}:
                for path in Path(folder).glob(f'*{UNFINISHED}'):
                    runner.logger.info(f'{path}, which an earlier run did not finish, is removed.')
                    path.unlink()

    def before_train_epoch(self, runner: Runner) -> None:
        """Go on with the batches and the random numbers of the run that is resumed."""
        if not self._resumes:
            return
        self._resumes = False
        loaded, rank = self._loaded or {}, get_rank()
        states = loaded.get('processes', [])[rank : rank + 1]
        if not states:
            runner.logger.warning(f'The checkpoint holds no random states of process {rank}: it goes on with others.')

        def restore() -> None:
            for state in states:
                set_random_states(state)

        seed = loaded.get('sampler_seed')
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            resume_batches(runner.train_loop, seed, restore)
            return
        if seed is not None:
            sampler_of(runner.train_dataloader).seed = seed
        restore()

    def before_val(self, runner: Runner) -> None:
        """Remember the random states."""
        self._before_val = get_random_states()

    def after_val(self, runner: Runner) -> None:
        """Go on with them: a run that resumes from a checkpoint does not repeat the validation after it."""
        if self._before_val is not None:
            set_random_states(self._before_val)
            self._before_val = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the random states to a checkpoint to resume from; a best or published one does without."""
        if self._to_save is not None:
            checkpoint[_KEY] = self._to_save

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """Save a checkpoint, name it as the last one, remove what is no longer kept: in this order.

        Raises:
            InputError: In every process, if it was not saved.
        """
        runner.call_hook('before_checkpoint')
        outdated = []
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = [self.keep_ckpt_ids.popleft()]
            self.keep_ckpt_ids.append(step)
            # with the outdated one: a run that was killed before it removed that does so when it resumes
            runner.message_hub.update_info('keep_ckpt_ids', outdated + list(self.keep_ckpt_ids))
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        seed = getattr(sampler_of(runner.train_dataloader), 'seed', None)
        self._to_save = dict(
            processes=all_gather_object(self._before_val or get_random_states()),
            sampler_seed=None if seed is None else int(seed),
        )
        failed: list[Any] = [None]
        try:
            runner.save_checkpoint(
                self.out_dir,
                filename,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
            if is_main_process():
                AtomicBackend().put_text(self.last_ckpt, Path(runner.work_dir, 'last_checkpoint'))
        except InputError as error:
            failed = [error]
        self._to_save = None
        broadcast_object_list(failed)  # only the main process writes
        if failed[0] is not None:
            raise failed[0]
        for outdated_step in outdated:
            self._remove(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(outdated_step)))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Save a best checkpoint, and remove the one before only afterwards."""
        outdated: list[str] = []
        backend, self.file_backend = self.file_backend, copy.copy(self.file_backend)
        # CheckpointHook removes the one before first
        self.file_backend.remove = self.file_backend.rmtree = outdated.append
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        best = {getattr(self, 'best_ckpt_path', None), *(getattr(self, 'best_ckpt_path_dict', None) or {}).values()}
        for path in outdated:
            if path not in best:  # unless the new one has its name
                self._remove(path)

    @master_only
    def _publish_model(self, runner: Runner, ckpt_path: str) -> None:
        """Write the published keys of a checkpoint under a name that tells their hash, as CheckpointHook, but whole."""
        checkpoint = CheckpointLoader.load_checkpoint(ckpt_path, map_location='cpu')
        published = {key: value for key, value in checkpoint.items() if key in self.published_keys}
        digest = hashlib.sha256(pickle.dumps(published)).hexdigest()[:8]
        path = f'{os.path.splitext(ckpt_path)[0]}-{digest}.pth'
        save_checkpoint(published, path, backend_args=self.backend_args)
        runner.logger.info(f'The checkpoint {ckpt_path} is published as {path}.')

    @master_only
    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # DeepSpeed's checkpoints are folders
            self.file_backend.rmtree(path)
