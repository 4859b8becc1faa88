"""Finds out early what cannot work here: a device, a package, a folder to write to, the options of a prediction."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from ..atomic_write import check_writable
from ..errors import InputError

__all__ = ['check_device', 'check_prediction_options', 'named_missing_packages']


def check_device(device: str | torch.device | None) -> None:
    """Check that a device is there.

    Args:
        device (str or torch.device, optional): ``'cpu'`` or ``'cuda:0'``, say; None is right.

    Raises:
        InputError: If there is no such device here.
    """
    if device is None:
        return
    try:
        kind, index = torch.device(device).type, torch.device(device).index
    except (RuntimeError, TypeError) as error:
        raise InputError(f'there is no kind of device {str(device)!r}: give cpu, cuda or cuda:0, say.') from error
    if kind == 'cuda':
        number = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not number:
            raise InputError(f'there is no device {device} here, as torch finds no GPU: give cpu.')
        if index is not None and index >= number:
            raise InputError(f'there is no device {device} here: the last of {number} is cuda:{number - 1}.')
        return
    try:
        torch.zeros(1, device=device)
        torch.zeros(1).to(device).cpu()  # on meta, nothing can be computed
    except (RuntimeError, NotImplementedError, AssertionError) as error:  # each kind has its own
        raise InputError(f'there is no device {device} here: give cpu.') from error


def check_prediction_options(batch_size: int, pred_score_thr: float, out_dir: str = '') -> None:
    """Check the options of a prediction, before anything that takes time.

    Args:
        batch_size (int): Images at a time.
        pred_score_thr (float): Least score to draw.
        out_dir (str): Folder to write to; '' writes nothing. Defaults to ''.

    Raises:
        InputError: If one is out of range.
        OutputError: If the folder cannot be written to.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f'--batch-size is {batch_size}: give a whole number of 1 or more.')
    if not 0 <= pred_score_thr <= 1:
        raise InputError(f'--pred-score-thr is {pred_score_thr}: give a score from 0 to 1.')
    if out_dir:
        check_writable(out_dir)


@contextlib.contextmanager
def named_missing_packages(what: str) -> Iterator[None]:
    """Turn the failed import of a package into an InputError.

    Args:
        what (str): What needs it, for the message: ``'the config a.py'``.

    Raises:
        InputError: If a package is not installed.
    """
    try:
        yield
    except ImportError as error:
        cause = error
        while getattr(cause, 'name', None) is None and cause is not None:
            cause = cause.__cause__ or cause.__context__  # mmengine's own error has no name
        name = cause.name.split('.')[0] if cause is not None else str(error)
        raise InputError(f'{what} needs the package {name}, which cannot be imported: pip install {name}.') from error
