"""Reads checkpoint files without ever running code from them."""

import io
import os
import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, InputError, MissingFileError
from .pickle_names import imported_names

__all__ = ['load_bytes_safely', 'load_safely', 'refusing_code']

# what torch's safe mode says about a file that names a function or a class, and what own_checkpoints.py says
_WANTS_CODE = re.compile(r"(?:GLOBAL |may not look up |but got <class ')([A-Za-z_][\w.]*)")
# how messages about a device begin; elsewhere in a message "cuda" may be a word of the file
_OF_THE_DEVICE = re.compile(r'Attempting to deserialize object on|CUDA |No CUDA|Found no NVIDIA')
_HARMLESS = re.compile(r'(?:_codecs|collections|mmengine\.logging|numpy|torch)\.')


def load_safely(path: str | Path, map_location: Any = 'cpu') -> Any:
    """Read a file that torch.save wrote, or a ``.safetensors`` file; tensors and plain values only.

    Args:
        path (str or Path): A local file.
        map_location (Any): As for torch.load. Defaults to 'cpu'.

    Returns:
        Any: What the file holds.

    Raises:
        MissingFileError: If there is no such file.
        CheckpointError: If the file wants to run code, is truncated, or is no checkpoint.
    """
    path = Path(os.path.expanduser(path))  # Path's own fails at users that there are not
    if not os.path.isfile(path):  # Path's own fails at names that are too long
        raise MissingFileError(f'there is no checkpoint {path}: give an existing file.')
    if path.suffix == '.safetensors':
        return _load_safetensors(path)
    try:
        with open(path, 'rb') as file, refusing_code(str(path), path):
            return torch.load(file, map_location=map_location, weights_only=True)
    except OSError as error:
        raise CheckpointError(f'the checkpoint {path} cannot be read ({error.strerror}): mend that.') from error


def load_bytes_safely(content: bytes, name: str, map_location: Any = 'cpu') -> Any:
    """Read a checkpoint that is in memory.

    Args:
        content (bytes): What torch.save wrote.
        name (str): What the user calls it.
        map_location (Any): As for torch.load. Defaults to 'cpu'.

    Returns:
        Any: What it holds.

    Raises:
        CheckpointError: If it wants to run code, is truncated, or is no checkpoint.
    """
    with refusing_code(name):
        return torch.load(io.BytesIO(content), map_location=map_location, weights_only=True)


@contextmanager
def refusing_code(name: str, path: str | Path | None = None) -> Iterator[None]:
    """Turn what torch's safe mode says about a file into one sentence; errors of disk and network stay as they are.

    Args:
        name (str): What the user calls the file.
        path (str or Path, optional): Where it lies, to look at what it names. Defaults to None.

    Raises:
        CheckpointError: If the file wants to run code, is truncated, or is no checkpoint.
    """
    try:
        yield
    except (InputError, OSError):
        raise
    except Exception as error:  # a hostile file can make torch fail in any way
        if isinstance(error, RuntimeError) and _OF_THE_DEVICE.match(str(error)):
            raise  # the device's fault, not the file's
        if isinstance(error, pickle.UnpicklingError) and (wanted := _wanted(error, path)):
            raise CheckpointError(
                f'the checkpoint {name} wants to run code (it names {wanted}), so it was not loaded: a checkpoint '
                'needs tensors and plain values only; get a file of the weights alone, or, on a machine that you can '
                'risk, load this one and save its state_dict with torch.save.'
            ) from error
        raise CheckpointError(
            f'the checkpoint {name} cannot be read, it is truncated or no PyTorch file ({_reason(error)}): '
            'copy or download it again.'
        ) from error


def _wanted(error: pickle.UnpicklingError, path: str | Path | None) -> str | None:
    """Return the function or class at which the safe mode stopped."""
    if found := _WANTS_CODE.search(str(error)):
        return found[1].rstrip('.')
    # a newer pickle stops it at the first byte
    names = imported_names(path) if path is not None else []
    return next((name for name in names if not _HARMLESS.match(name)), None)


def _reason(error: Exception) -> str:
    """Return what went wrong, without torch's advice to switch the safe mode off."""
    text = str(error).split('WeightsUnpickler error: ')[-1].strip()
    return (text.splitlines() or [type(error).__name__])[0].rstrip('.')


def _load_safetensors(path: Path) -> dict:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise CheckpointError(f'reading {path} needs the package safetensors: pip install safetensors.') from error
    try:
        return load_file(path)
    except Exception as error:  # its own error class, in the compiled part
        raise CheckpointError(f'the checkpoint {path} cannot be read ({error}): copy or download it again.') from error
