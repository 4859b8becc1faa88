"""Refuses checkpoints that are missing, truncated or of another model.

mmengine loads whatever fits, leaves the rest as it was built, and only logs it.
"""

import os
import re
import sys
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from ..checkpoints import unwrap
from ..checkpoints.detect import Shapes, find_kind
from ..errors import CheckpointError, MissingFileError, first_few

__all__ = ['check_resumable', 'check_same_model', 'check_start', 'read_checkpoint']

# names that come and go between versions of torch and mmengine, and say nothing about the model
_IGNORED = re.compile(r'num_batches_tracked$|^data_preprocessor\.')


def read_checkpoint(path: str, hint: str = 'give a .pth file that a training run wrote') -> dict[str, Any]:
    """Read a checkpoint to the CPU: a local file, or anything else mmengine reads (``https://...``, ``open-mmlab://...``).

    Raises:
        MissingFileError: If there is no such file; ``hint`` says what to do.
        CheckpointError: If it wants to run code, cannot be read or holds no parameters.

    >>> check_same_model(model, read_checkpoint('epoch_12.pth'), 'epoch_12.pth')  # doctest: +SKIP
    """
    if '://' not in path and not os.path.isfile(os.path.expanduser(path)):
        raise MissingFileError(f'there is no checkpoint {path}: {hint}.')
    # its line on the reading would come twice, since the run itself reads it again
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')
    unwrap(checkpoint, path)
    return checkpoint


def _shapes(state: dict[str, Any], prefix: str = '') -> Shapes:
    """Return name -> shape, without the prefix that DDP gives, of what begins with ``prefix``, without it."""
    names = {re.sub(r'^module\.', '', str(name)): value for name, value in state.items() if isinstance(value, Tensor)}
    return {
        name.removeprefix(prefix): tuple(value.shape)
        for name, value in names.items()
        if name.startswith(prefix) and not _IGNORED.search(name)
    }


def _differences(wanted: Shapes, found: Shapes) -> str:
    """Say what differs, each kind with its number and a few names; '' where nothing does."""
    kinds = {
        'missing from it': [name for name in wanted if name not in found],
        'unknown to the model': [name for name in found if name not in wanted],
        'of another shape': [
            f'{n} is {found[n]}, not {wanted[n]}' for n in wanted if found.get(n, wanted[n]) != wanted[n]
        ],
    }
    return '; '.join(f'{len(names)} {kind} ({first_few(names)})' for kind, names in kinds.items() if names)


def _refuse_unconverted(checkpoint: dict[str, Any], path: str) -> None:
    """Name the converter where the checkpoint is one for it."""
    found = find_kind(unwrap(checkpoint, path).tensors)
    if found is not None:
        raise CheckpointError(
            f'the checkpoint {path} is {found[0].name} with its own names of parameters: '
            f'run `python tools/convert_checkpoint.py {path} converted.pth` and give converted.pth.'
        )


def _refuse_non_finite(checkpoint: dict[str, Any], path: str) -> None:
    """Refuse what a run that diverged leaves: it finds nothing, without a word."""
    state = unwrap(checkpoint, path).tensors
    bad = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise CheckpointError(
            f'the checkpoint {path} holds NaN or infinity in {len(bad)} of {len(state)} parameters ({bad[0]}, ...), as '
            'after a training that diverged: take an earlier one.'
        )


def check_resumable(checkpoint: dict[str, Any], path: str) -> None:
    """Check that a checkpoint holds the state of a training run, not weights alone, or raise CheckpointError."""
    meta = checkpoint.get('meta')
    if not isinstance(meta, dict) or 'iter' not in meta or 'optimizer' not in checkpoint:
        raise CheckpointError(
            f'the checkpoint {path} holds weights alone, so no run can go on from it: begin a new one with them, '
            f'--cfg-options load_from={path} in the place of --resume.'
        )


def check_same_model(model: nn.Module, checkpoint: dict[str, Any], path: str) -> None:
    """Check that a checkpoint, ``path`` in messages, holds this model: for testing, prediction and resuming.

    It may hold no more, either: V-99 has every parameter of V-39, with the same shapes.

    Raises:
        CheckpointError: If a parameter is missing, unknown or of another shape, or not finite.
    """
    wanted = _shapes(model.state_dict())
    _refuse_non_finite(checkpoint, path)
    if differences := _differences(wanted, _shapes(checkpoint.get('state_dict', checkpoint))):
        _refuse_unconverted(checkpoint, path)
        raise CheckpointError(
            f'the checkpoint {path} is of another model: of {len(wanted)} parameters {differences}; '
            'give the config that it was trained with, or a checkpoint of this config.'
        )


def check_start(model: nn.Module, checkpoint: dict[str, Any], path: str, prefix: str | None = '') -> None:
    """Check that training can begin with a checkpoint; warn of what it leaves as it was built, and of norms that train.

    Layers that differ are no fault: the last ones where the number of classes does, the offsets of deformable
    convolutions where the backbone was trained without. Of the checkpoint only names that begin with ``prefix`` count,
    without it; the dot at its end may be left away.

    Raises:
        CheckpointError: If nothing of it fits, or frozen batch norms would get no statistics.
    """
    prefix = f'{prefix.rstrip(".")}.' if prefix else ''  # as mmengine does
    own_way = type(model).init_weights.__module__
    if prefix == '' and own_way != 'mmengine.model.base_module' and not own_way.startswith('mmcentermask.'):
        return  # it renames parameters itself, as mmdet's Swin and PVT do with their authors'
    wanted, found = _shapes(model.state_dict()), _shapes(checkpoint.get('state_dict', checkpoint), prefix)
    differences = _differences(wanted, found)
    _refuse_non_finite(checkpoint, path)
    if not any(shape and found.get(name) == shape for name, shape in wanted.items()):
        _refuse_unconverted(checkpoint, path)
        raise CheckpointError(
            f'the checkpoint {path} is of another model: of {len(wanted)} parameters none fits, '
            f'{differences}; give a checkpoint of this config as load_from, '
            "or a backbone's weights as model.backbone.init_cfg=dict(type='Pretrained', checkpoint=FILE)."
        )
    backbone = getattr(model, 'backbone', model)
    start = 'backbone.' if backbone is not model else ''
    norms = [n for n in wanted if n.startswith(start) and n.endswith('running_var') and found.get(n) != wanted[n]]
    if norms and getattr(backbone, 'norm_eval', False):
        raise CheckpointError(
            f'the checkpoint {path} is of another backbone: it has no statistics for {len(norms)} of the frozen batch '
            f'norms ({norms[0]}, ...): {differences}; give the checkpoint of the same variant.'
        )
    if differences:
        print(f'warning: of the checkpoint {path} not all is used: {differences}.', file=sys.stderr)
    if 'source_kind' in (checkpoint.get('meta') or {}) and getattr(backbone, 'norm_eval', None) is False:
        print(
            f'note: norms of the backbone train, though it starts from {path}; published models freeze them: '
            '--cfg-options model.backbone.norm_eval=True model.backbone.norm_cfg.requires_grad=False',
            file=sys.stderr,
        )
