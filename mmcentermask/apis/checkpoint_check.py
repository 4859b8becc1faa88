"""Refuses checkpoints that are missing, truncated or of another model.

mmengine loads whatever fits, leaves the rest at random, and only warns.
"""

import logging
import os
import re
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from ..errors import CheckpointError, MissingFileError

__all__ = ['check_same_model', 'check_start', 'read_checkpoint']

_NAMED = 3  # parameters to name in a message
# names that come and go between versions of torch and mmengine, and say nothing about the model
_IGNORED = re.compile(r'num_batches_tracked$|^data_preprocessor\.')


def read_checkpoint(path: str) -> dict[str, Any]:
    """Read a checkpoint to the CPU.

    Args:
        path (str): A local file, or anything else mmengine reads: ``https://...``, ``open-mmlab://...``.

    Returns:
        dict: The checkpoint, with ``state_dict`` or being one.

    Raises:
        MissingFileError: If there is no such file.
        CheckpointError: If it wants to run code, cannot be read or holds no parameters.
    """
    if '://' not in path and not os.path.isfile(os.path.expanduser(path)):
        raise MissingFileError(f'there is no checkpoint {path}: give a .pth file that a training run wrote.')
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu', logger=_quiet())
    state = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(state, dict) or not any(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f'{path} holds no parameters: give a .pth file that a training run wrote.')
    return checkpoint


def _quiet() -> logging.Logger:
    """Return a logger for a reading that the user need not see, since the run itself reports the next one."""
    logger = logging.getLogger('mmcentermask.checkpoint_check')
    logger.setLevel(logging.ERROR)
    return logger


def _shapes(state: dict[str, Any]) -> dict[str, tuple]:
    """Return name -> shape, without the prefix that DDP gives."""
    names = ((re.sub(r'^module\.', '', name), value) for name, value in state.items())
    return {
        name: tuple(value.shape) for name, value in names if isinstance(value, Tensor) and not _IGNORED.search(name)
    }


def _compare(model: nn.Module, checkpoint: dict[str, Any], prefix: str = '') -> tuple[dict, dict, list]:
    """Return the shapes of the model and of the checkpoint, and the sentences' parts on what differs."""
    wanted = _shapes(model.state_dict())
    found = _shapes(checkpoint.get('state_dict', checkpoint))
    if prefix:
        found = {name[len(prefix) :]: shape for name, shape in found.items() if name.startswith(prefix)}
    return wanted, found, _differences(wanted, found)


def _differences(wanted: dict, found: dict) -> list[str]:
    """Say what differs, each kind with its number and a few names."""
    shaped = [f'{n} is {found[n]}, not {wanted[n]}' for n in wanted if n in found and found[n] != wanted[n]]
    kinds = (
        ('missing from it', [n for n in wanted if n not in found]),
        ('unknown to the model', [n for n in found if n not in wanted]),
        ('of another shape', shaped),
    )
    return [
        f'{len(names)} {kind} ({", ".join(names[:_NAMED])}{", ..." if len(names) > _NAMED else ""})'
        for kind, names in kinds
        if names
    ]


def check_same_model(model: nn.Module, checkpoint: dict[str, Any], path: str) -> None:
    """Check that a checkpoint holds this model, neither less nor more: for testing, prediction and resuming.

    More matters too: V-99 has every parameter of V-39, with the same shapes.

    Args:
        model (nn.Module): The model.
        checkpoint (dict): The checkpoint.
        path (str): Its name, for the message.

    Raises:
        CheckpointError: If a parameter is missing, unknown or of another shape.
    """
    wanted, _, differences = _compare(model, checkpoint)
    if differences:
        raise CheckpointError(
            f'the checkpoint {path} is of another model: of {len(wanted)} parameters {"; ".join(differences)}; '
            'give the config that it was trained with, or a checkpoint of this config.'
        )


def check_start(model: nn.Module, checkpoint: dict[str, Any], path: str, prefix: str = '') -> None:
    """Check that a checkpoint is one to begin training from: most of it fits, and the backbone is the same.

    The last layers may differ, as they do where the number of classes does.

    Args:
        model (nn.Module): The model, or a part of it.
        checkpoint (dict): The checkpoint.
        path (str): Its name, for the message.
        prefix (str): Take only names that begin with this, without it. Defaults to ''.

    Raises:
        CheckpointError: If less than half of the parameters fit, or the backbone is another variant.
    """
    wanted, found, differences = _compare(model, checkpoint, prefix)
    fitting = sum(found.get(name) == shape for name, shape in wanted.items())
    if 2 * fitting < len(wanted):
        raise CheckpointError(
            f'the checkpoint {path} is of another model: of {len(wanted)} parameters only {fitting} fit, '
            f'{"; ".join(differences)}; give a checkpoint of this config as load_from, '
            "or a backbone's weights as model.backbone.init_cfg=dict(type='Pretrained', checkpoint=FILE)."
        )
    # stages that the model does not build may be there, but not more of a stage than the model has
    backbone = 'backbone.' if any(name.startswith('backbone.') for name in wanted) else ''
    depth = backbone.count('.') + 1
    mine = {name: shape for name, shape in wanted.items() if name.startswith(backbone)}
    stages = {tuple(name.split('.')[:depth]) for name in mine}
    theirs = {name: shape for name, shape in found.items() if tuple(name.split('.')[:depth]) in stages}
    if theirs and (differences := _differences(mine, theirs)):
        raise CheckpointError(
            f'the checkpoint {path} is of another backbone: {"; ".join(differences)}; '
            'give the checkpoint of the same variant.'
        )
