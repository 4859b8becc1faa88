"""What torch's safe mode may read beside tensors: what mmengine writes into its own checkpoints, and nothing more.

They hold the history of the losses (HistoryBuffer, with NumPy arrays and the functions of its class) and NumPy scalars,
such as a best score. Without this, OpenMMLab's mmengine 0.10.7 cannot read them with torch >= 2.6, and the maintained
line allows ``getattr``, by which a file reaches every function there is.
"""

import math
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer

__all__ = ['ALLOWED', 'NUMPY']


def _stand_in(name: str) -> Callable[[Callable], Callable]:
    """Let a function or class stand where a checkpoint names ``name``."""

    def rename(stand_in: Callable) -> Callable:
        # (stand_in, name), as torch takes it too, is not known before 2.6
        stand_in.__module__, _, stand_in.__qualname__ = name.rpartition('.')
        return stand_in

    return rename


def _refuse(what: str) -> None:
    raise pickle.UnpicklingError(f'a checkpoint may not look up {what}')


@_stand_in('builtins.getattr')
def _statistic(owner: Any, name: Any) -> Callable:
    """Look up one of the functions of HistoryBuffer."""
    if owner is not HistoryBuffer or name not in ('current', 'max', 'mean', 'min'):
        owner = f'{owner.__module__}.{owner.__qualname__}' if isinstance(owner, type) else type(owner).__name__
        _refuse(f'{owner}.{name}')
    return getattr(owner, name)


@_stand_in('numpy.dtype')
class _DType:
    """Stand for NumPy's dtype, whose ``__setstate__`` trusts the sizes and the length of a state from the file.

    Attributes:
        dtype (np.dtype): Of numbers, text, bytes or times.
    """

    def __init__(self, code: Any, *_) -> None:
        if not isinstance(code, str) or not re.fullmatch(r'[biufcSUMm]\d{1,9}', code):
            _refuse(f'numpy.dtype.{code}')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        if self.dtype.kind in 'Mm':
            unit, count = state[-1][1][:2]
            self.dtype = np.dtype(f'{self.dtype.kind}8[{count}{unit.decode()}]')
        self.dtype = self.dtype.newbyteorder(state[1])


def _of_numbers(dtype: Any) -> np.dtype:
    if not isinstance(dtype, _DType) or dtype.dtype.kind not in 'biufc':
        _refuse('an array of anything but numbers')
    return dtype.dtype


@_stand_in('numpy.ndarray')
class _Array(np.ndarray):
    """Stand for NumPy's array, whose ``__setstate__`` trusts the dtype; it is pickled again as the array that it is."""

    def __new__(cls, *_) -> None:
        _refuse('numpy.ndarray')

    def __setstate__(self, state: tuple) -> None:
        *_, shape, dtype, by_column, content = state
        dtype = _of_numbers(dtype)
        content = content.encode('latin1') if isinstance(content, str) else content
        if len(content) != math.prod(shape) * dtype.itemsize or min(shape, default=0) < 0:
            _refuse(f'an array of shape {shape} in {len(content)} bytes')
        super().__setstate__((1, tuple(map(int, shape)), dtype, bool(by_column), content))

    def __reduce_ex__(self, protocol: int) -> Any:
        return self.view(np.ndarray).__reduce_ex__(protocol)


def _empty_array(owner: Any, shape: Any, _) -> np.ndarray:
    """Stand for NumPy's ``_reconstruct``: an array for the checkpoint to fill."""
    if owner not in (np.ndarray, _Array) or shape != (0,):
        _refuse('numpy._reconstruct')
    return np.empty(0).view(_Array)


def _scalar(dtype: Any, content: Any) -> np.generic:
    """Stand for NumPy's ``scalar``."""
    dtype = dtype.dtype
    return np.frombuffer(content, dtype, count=1)[0] if dtype.itemsize else dtype.type()


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """Stand for NumPy's ``_frombuffer``, which pickle's protocol 5 calls."""
    return np.frombuffer(content, _of_numbers(dtype)).reshape(shape, order=order)


@_stand_in('builtins.bytes')
def _no_bytes() -> bytes:
    """Make the content of an empty array."""
    return b''


NUMPY = (
    _Array,
    _DType,
    _no_bytes,
    # NumPy 2 moved them; a checkpoint of either is read with either
    *(
        _stand_in(f'numpy.{core}.{name}')(lambda *args, function=function: function(*args))
        for core in ('core', '_core')
        for name, function in (
            ('multiarray._reconstruct', _empty_array),
            ('multiarray.scalar', _scalar),
            ('numeric._frombuffer', _array),
        )
    ),
)
"""What arrays and scalars of NumPy need."""

ALLOWED = (HistoryBuffer, _statistic, *NUMPY)
"""For torch.serialization.add_safe_globals."""
