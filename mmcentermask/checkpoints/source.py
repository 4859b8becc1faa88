"""What a checkpoint file holds beside its parameters, and the parameters under their plain names."""

import re
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import CheckpointError

# where code bases keep the parameters in a checkpoint
_KEYS = ('model', 'state_dict', 'model_state_dict', 'model_state', 'params')
_LONGEST = 200  # characters of a name


class Source(NamedTuple):
    """Parameters of a checkpoint, and what else was in it."""

    tensors: dict[str, Tensor]  # by name, without `module.`
    left_out: dict[str, str]  # name of an entry -> why it stays behind


def unwrap(checkpoint: Any, path: str) -> Source:
    """Find the parameters in what a file holds.

    Args:
        checkpoint (Any): What the file holds.
        path (str): Its name, for the message.

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
