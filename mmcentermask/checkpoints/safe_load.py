"""Reads checkpoint files without ever running code from them."""

import pickle
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch

from ..apis.errors import CheckpointError, MissingFileError

# what torch's safe unpickler says about a pickle that names a function or a class
_WANTS_CODE = re.compile(r'(?:GLOBAL|[Uu]nsupported (?:global|class)|function|type)[:\s]+([A-Za-z_][\w.]*\.[\w.]+)')


def load_safely(path: str | Path) -> Any:
    """Read a file that torch.save wrote, or a ``.safetensors`` file, to the CPU; tensors and plain values only.

    Args:
        path (str or Path): A local file.

    Returns:
        Any: What the file holds.

    Raises:
        MissingFileError: If there is no such file.
        CheckpointError: If the file wants to run code, is truncated, or is no checkpoint.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise MissingFileError(f'there is no checkpoint {path}: give an existing file.')
    if path.suffix == '.safetensors':
        return _load_safetensors(path)
    with open(path, 'rb') as file:
        head = file.read(4)
    if head == b'PK\x03\x04' and not zipfile.is_zipfile(path):
        raise CheckpointError(f'the checkpoint {path} is truncated, its end is missing: copy or download it again.')
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, TypeError, struct.error) as error:
        wanted = _WANTS_CODE.search(str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if wanted:
            raise CheckpointError(
                f'the checkpoint {path} wants to run code (it names {wanted[1].rstrip(".")}), so it was not loaded: a '
                'checkpoint needs tensors and plain values only; save its state_dict alone, or get it from a source '
                'that you trust.'
            ) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f'the checkpoint {path} cannot be read, it is truncated or no PyTorch file ({reason.rstrip(".")}): '
            'copy or download it again.'
        ) from error


def _load_safetensors(path: Path) -> dict:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise CheckpointError(f'reading {path} needs the package safetensors: pip install safetensors.') from error
    try:
        return load_file(path)
    except Exception as error:  # its own error class, in the compiled part
        raise CheckpointError(f'the checkpoint {path} cannot be read ({error}): copy or download it again.') from error
