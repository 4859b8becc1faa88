"""A Runner that says on the terminal in a few lines what it is going to do."""

import contextlib
import io
import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from ..config_errors import named_building_errors
from ..errors import first_few

__all__ = ['QuietRunner']

_COUNTED = 20000  # images of a dataset whose objects are counted: about a second
_NAMED = 10  # classes that are named
# warnings of mmengine on its own code and registries, and one for each parameter that is frozen as the config says
_NOISE = (
    '"FileClient" will be',
    '"HardDiskBackend" is',
    'Failed to search registry with scope',
    ' is skipped since its requires_grad=False',
)


class _StartFilter(logging.Filter):
    """Holds back, while ``quiet``, what is no warning, and calls processes so, not GPUs."""

    def __init__(self, quiet: bool) -> None:
        super().__init__()
        self.quiet = quiet

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str):
            record.msg = record.msg.replace('\n    GPU number: ', '\n    Processes: ')
        is_warning = record.levelno >= logging.WARNING and not any(noise in str(record.msg) for noise in _NOISE)
        return is_warning or not self.quiet


class QuietRunner(Runner):
    """mmengine's Runner, whose environment, config and settings of parameters go to the log file alone.

    On the terminal a few lines tell model, data, device and place of the results; then come losses and scores as usual.
    With ``log_level='DEBUG'`` everything is on the terminal. A run that fails before its first batch leaves no folder.

    >>> QuietRunner.from_cfg(cfg).train()  # doctest: +SKIP
    """

    _begun = False

    def __init__(self, model: nn.Module | dict, work_dir: str, *args, **kwargs) -> None:
        self._is_new, self._log_dir = not Path(work_dir).exists(), ''  # the second is known later
        self._prints = contextlib.ExitStack()  # while it is open, nothing printed is shown
        with self._starting():
            super().__init__(model, work_dir, *args, **kwargs)

    def train(self) -> nn.Module:
        """Train; return the model."""
        with self._starting():
            return super().train()

    def test(self) -> dict[str, float]:
        """Test; return the scores."""
        with self._starting():
            return super().test()

    @contextlib.contextmanager
    def _starting(self) -> Iterator[None]:
        """Tell in one sentence why a run fails before its first batch, and remove its folder."""
        try:
            yield
        except Exception:
            self._prints.close()
            if self._begun:
                raise
            logger = MMLogger.get_current_instance()
            for handler in [h for h in logger.handlers if isinstance(h, logging.FileHandler)]:
                logger.removeHandler(handler)  # mmengine writes to the file of whichever is left
                handler.close()
            shutil.rmtree(self._work_dir if self._is_new else self._log_dir, ignore_errors=True)
            with named_building_errors(getattr(self, 'cfg', {})):
                raise

    def build_logger(self, log_level: int | str = 'INFO', **kwargs) -> MMLogger:
        """Build the logger; its terminal is quiet until the first batch."""
        logger = super().build_logger(log_level, **kwargs)
        quiet = log_level not in ('DEBUG', logging.DEBUG)
        self._start_filter = _StartFilter(quiet)
        for handler in logger.handlers:
            is_file = isinstance(handler, logging.FileHandler)
            handler.addFilter(_StartFilter(False) if is_file else self._start_filter)
        if quiet:
            self._prints.enter_context(contextlib.redirect_stdout(io.StringIO()))
        return logger

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """Call the hooks; before the first batch, tell what is going to run."""
        if not self._begun and fn_name in ('before_train_epoch', 'before_val_epoch', 'before_test_epoch'):
            self._begun = True
            self._start_filter.quiet = False
            self._prints.close()
            for line in self._start_lines(fn_name.split('_')[1]):
                self.logger.info(line)
            sys.stdout.flush()
        super().call_hook(fn_name, **kwargs)

    def _start_lines(self, phase: str) -> Iterator[str]:
        model = self.model.module if is_model_wrapper(self.model) else self.model
        sizes = [(value.numel(), value.requires_grad) for value in model.parameters()]
        trained = f', {sum(n for n, learns in sizes if learns) / 1e6:.2f} M of them trained' if phase == 'train' else ''
        start = f'; weights of {self._load_from}' if self._load_from else ''
        if phase == 'train' and self.iter:
            start += f', resumed at iteration {self.iter}'
        yield f'Model: {type(model).__name__}, {sum(n for n, _ in sizes) / 1e6:.2f} M parameters{trained}{start}'
        for name in [phase, 'val'] if phase == 'train' and self.val_loop is not None else [phase]:
            loader = getattr(self, f'{name}_dataloader')
            yield f'{_PHASES[name]}: {_described(loader.dataset)}'
        device = get_device()
        device = f'cuda ({torch.cuda.get_device_name()})' if device == 'cuda' else device
        threads = f'{torch.get_num_threads()} thread(s)' + (' each' if self.world_size > 1 else '')
        yield f'Device: {device}, {self.world_size} process(es), {threads} on CPU'
        yield f'Results: {self.work_dir}; config and environment: {self.logger.log_file}'
        if phase == 'train' and self.iter >= self.max_iters > 0:
            yield f'Nothing is left to train: the run has {self.max_iters} iterations; set more (max_iters) to go on.'


_PHASES = dict(train='Trains on', val='Validates on', test='Tests on')


def _described(dataset: Dataset) -> str:
    """Say of a dataset what it is, its number of images and objects, and its classes."""
    parts = [f'{len(dataset):,} images']
    if hasattr(dataset, 'get_data_info') and len(dataset) <= _COUNTED:
        instances = [dataset.get_data_info(i).get('instances', []) for i in range(len(dataset))]
        if any(instances):
            parts.append(f'{sum(map(len, instances)):,} objects')
    classes = (getattr(dataset, 'metainfo', None) or {}).get('classes') or ()
    if classes:
        parts.append(f'{len(classes)} class{"es" if len(classes) > 1 else ""} ({first_few(classes, _NAMED)})')
    if getattr(dataset, 'ann_file', None):
        parts.append(str(dataset.ann_file))
    return ', '.join(parts)
