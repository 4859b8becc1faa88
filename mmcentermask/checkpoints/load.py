"""Reads checkpoint files without ever running code from them."""

import io
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointError, InputError, MissingFileError
from .allow_list import ALLOWED, NUMPY

__all__ = ['FORMAT_VERSION', 'ArrayUnpickler', 'Source', 'load_safely', 'refusing_code', 'unwrap']

FORMAT_VERSION = 1
"""Of converted files; those without one are older. 1: CenterMaskV1's batch norms hold the eps that they lack."""

# what torch's safe mode says about a file that names a function or a class, and what allow_list.py says
_WANTS_CODE = re.compile(r"(?:GLOBAL |may not look up |but got <class ')([A-Za-z_][\w.]*)")
# how messages about a device begin; elsewhere in a message "cuda" may be a word of the file
_OF_THE_DEVICE = re.compile(r'Attempting to deserialize object on|CUDA |No CUDA|Found no NVIDIA')
_PICKLE = re.compile(rb'\x80[\x02-\x05](?!\x8a)')  # after PROTO, torch's older format goes on with a long integer
# the page or the pointer of Git LFS that a download may bring in the place of the file
_TEXT, _TEXT_BYTES = re.compile(rb'[\r\n -~]{16,}'), 40
# where code bases keep the parameters
_KEYS = ('model', 'state_dict', 'model_state_dict', 'model_state', 'params', 'blobs')
_LONGEST = 200  # characters of a name


def load_safely(path: str | Path, map_location: Any = 'cpu') -> Any:
    """Read what torch.save wrote, a ``.safetensors`` file, or NumPy arrays in a pickle, as detectron2's ``.pkl``.

    Args:
        path (str or Path): A local file.
        map_location (Any): As for torch.load. Defaults to 'cpu'.

    Returns:
        Any: What the file holds: tensors, plain values and what mmengine's own checkpoints have beside them.

    Raises:
        MissingFileError: If there is no such file.
        CheckpointError: If the file wants to run code, is truncated, or is no checkpoint.

    >>> load_safely('work_dirs/run/iter_90000.pth')['state_dict']  # doctest: +SKIP
    """
    path = Path(os.path.expanduser(path))  # Path's own fails at users that there are not
    if not os.path.isfile(path):  # Path's own fails at names that are too long
        raise MissingFileError(f'there is no checkpoint {path}: give an existing file.')
    if path.suffix == '.safetensors':
        try:
            from safetensors.torch import load_file

            return load_file(path)
        except ImportError as error:
            raise CheckpointError(f'reading {path} needs the package safetensors: pip install safetensors.') from error
        except Exception as error:  # its own error class, in the compiled part
            raise CheckpointError(
                f'the checkpoint {path} cannot be read ({error}): copy or download it again.'
            ) from error
    torch.serialization.add_safe_globals(list(ALLOWED))  # another's safe_globals() may have taken some away
    try:
        with open(path, 'rb') as file, refusing_code(str(path)):
            start = file.peek(_TEXT_BYTES)[:_TEXT_BYTES]
            if _TEXT.fullmatch(start):
                raise CheckpointError(
                    f'the checkpoint {path} is text, which begins with {start.decode().splitlines()[0]!r}: download '
                    'the file itself, not its page or its Git LFS pointer.'
                )
            if _PICKLE.match(start):
                return _tensors(ArrayUnpickler(io.BytesIO(file.read()), encoding='latin1').load())
            return torch.load(file, map_location=map_location, weights_only=True)
    except OSError as error:
        raise CheckpointError(
            f'the checkpoint {path} cannot be read ({error.strerror}): check its permissions.'
        ) from error


class ArrayUnpickler(pickle._Unpickler):  # the one in C allocates whatever memory a file asks for
    """Reads NumPy arrays and plain values."""

    _allowed = {f'{item.__module__}.{item.__qualname__}': item for item in (*NUMPY, OrderedDict)}

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names; raise UnpicklingError where it is not allowed."""
        if (module, name) == ('_codecs', 'encode'):  # of bytes, in older protocols
            return lambda text, _: text.encode('latin1')
        if f'{module}.{name}' not in self._allowed:
            raise pickle.UnpicklingError(f'GLOBAL {module}.{name}')
        return self._allowed[f'{module}.{name}']


def _tensors(value: Any) -> Any:
    """Make tensors of arrays."""
    if isinstance(value, dict):
        return {name: _tensors(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.astype(value.dtype.newbyteorder('=')))
    return value


@contextmanager
def refusing_code(name: str) -> Iterator[None]:
    """Turn what torch's safe mode says about a file into one sentence; errors of disk and network stay as they are."""
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:  # a hostile file can make torch fail in any way
        if isinstance(error, RuntimeError) and _OF_THE_DEVICE.match(str(error)):
            raise  # the device's fault, not the file's
        if wanted := _wanted(error):
            raise CheckpointError(
                f'the checkpoint {name} wants to run code (it names {wanted[1].rstrip(".")}), so it was not loaded: a '
                'checkpoint needs tensors and plain values only; get a file of the weights alone, or, on a machine '
                'that you can risk, load this one and save its state_dict with torch.save.'
            ) from error
        # without torch's advice to switch the safe mode off
        reason = str(error).split('WeightsUnpickler error: ')[-1].strip() or type(error).__name__
        reason = reason.splitlines()[0].split('. ')[0].rstrip('.')
        if reason == 'Unsupported operand 149':
            raise CheckpointError(
                f'the checkpoint {name} was saved with a pickle_protocol of 4 or more, which torch reads only where '
                'code is allowed, so it was not loaded: save it again with torch.save as it is by default.'
            ) from error
        raise CheckpointError(
            f'the checkpoint {name} cannot be read, it is truncated or no PyTorch file ({reason}): '
            'copy or download it again.'
        ) from error


def _wanted(error: BaseException | None) -> re.Match | None:
    """Find the function or class at which the safe mode stopped; mmengine may have tried again after it."""
    while error is not None:
        if isinstance(error, pickle.UnpicklingError) and (wanted := _WANTS_CODE.search(str(error))):
            return wanted
        error = error.__context__
    return None


class Source(NamedTuple):
    """Parameters of a checkpoint, and what else was in it."""

    tensors: dict[str, Tensor]  # by name, without `module.`
    left_out: dict[str, str]  # name of an entry -> why it stays behind


def unwrap(checkpoint: Any, path: str) -> Source:
    """Find the parameters in what a file, ``path`` in messages, holds.

    Returns:
        Source: Names without the ``module.`` that (distributed) data parallel training leaves.

    Raises:
        CheckpointError: If it holds no parameters, or some that no model can have.
    """
    left_out = {}
    if isinstance(checkpoint, dict):
        for key in _KEYS:
            inner = checkpoint.get(key)
            if isinstance(inner, dict) and any(isinstance(value, Tensor) for value in inner.values()):
                left_out = {_printable(name): 'state of the training' for name in checkpoint if name != key}
                checkpoint = inner
                break
    tensors = {}
    for name, value in checkpoint.items() if isinstance(checkpoint, dict) else ():
        name = _printable(name)
        if isinstance(value, Tensor):
            if value.is_nested or value.layout != torch.strided or value.is_quantized or value.is_meta:
                raise CheckpointError(
                    f'{path} holds {name} as a sparse, nested, quantized or empty tensor: give a file of plain numbers.'
                )
            tensors[re.sub(r'^(module\.)+', '', name)] = value
        else:
            left_out[name] = 'not a tensor'
    if not tensors:
        raise CheckpointError(f"{path} holds no parameters: give a file with a model's state_dict.")
    return Source(tensors, left_out)


def _printable(name: Any) -> str:
    """Write a name so that it can do nothing to a terminal, nor fill it; those of models stay as they are."""
    name = name if isinstance(name, str) else str(name) if isinstance(name, int) else type(name).__name__
    text = ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in name[:_LONGEST])
    return text + '...' * (len(name) > _LONGEST)
