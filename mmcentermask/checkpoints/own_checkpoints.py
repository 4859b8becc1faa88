"""Lets torch's safe mode read what mmengine writes into its own checkpoints, and nothing more.

They hold the history of the losses: HistoryBuffer, with arrays of 64-bit numbers and the four functions of its
class, and one such number, the time that is left. Without this, OpenMMLab's mmengine 0.10.7 cannot read them with
torch >= 2.6, and the maintained line allows ``getattr``, by which a file reaches every function there is.
"""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

__all__ = ['OWN_GLOBALS', 'allow_own_checkpoints']


def _stand_in(name: str, function: Callable) -> Callable:
    """Return a function that is called where a checkpoint names ``name``."""

    def stand_in(*args):
        return function(*args)

    # a name beside the function, as torch takes it, is not known before 2.6
    stand_in.__module__, _, stand_in.__name__ = name.rpartition('.')
    stand_in.__qualname__ = stand_in.__name__
    return stand_in


def _refuse(what: str) -> None:
    raise pickle.UnpicklingError(f'a checkpoint may not look up {what}')


def _statistic(owner: Any, name: Any) -> Callable:
    """Stand for ``getattr``: the functions of a HistoryBuffer."""
    if owner is not HistoryBuffer or name not in ('current', 'max', 'mean', 'min'):
        owner = f'{owner.__module__}.{owner.__qualname__}' if isinstance(owner, type) else type(owner).__name__
        _refuse(f'{owner}.{name}')
    return getattr(owner, name)


def _number_type(code: Any, *_) -> np.dtype:
    """Stand for ``numpy.dtype``: 64-bit numbers, as a copy, since a checkpoint then sets its byte order."""
    if code not in ('f8', 'i8'):
        _refuse(f'numpy.dtype.{code}')
    return np.dtype(code, False, True)


def _empty_array(owner: Any, shape: Any, _) -> np.ndarray:
    """Stand for NumPy's ``_reconstruct``: an array for the checkpoint to fill."""
    if owner is not np.ndarray or shape != (0,):
        _refuse('numpy._reconstruct')
    return np.empty(0)


def _number(dtype: Any, content: Any) -> np.generic:
    """Stand for NumPy's ``scalar``: one number."""
    return np.frombuffer(content, dtype, count=1)[0]


OWN_GLOBALS = (
    HistoryBuffer,
    np.ndarray,
    type(np.dtype('f8')),
    type(np.dtype('i8')),
    _stand_in('builtins.getattr', _statistic),
    _stand_in('numpy.dtype', _number_type),
    # NumPy 2 moved them; a checkpoint of either is read with either
    *(_stand_in(f'numpy.{core}.multiarray._reconstruct', _empty_array) for core in ('core', '_core')),
    *(_stand_in(f'numpy.{core}.multiarray.scalar', _number) for core in ('core', '_core')),
)


def allow_own_checkpoints() -> None:
    """Tell torch what its safe mode shall allow besides tensors: ``OWN_GLOBALS``, for the whole process."""
    torch.serialization.add_safe_globals(list(OWN_GLOBALS))
