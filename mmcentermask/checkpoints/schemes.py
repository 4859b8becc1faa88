"""Lets mmengine load checkpoints by name, converted on the way, and never run code from one.

The maintained mmengine reads a file that torch's safe mode refuses once more without it. So what this package does not
load itself runs with torch's own switch TORCH_FORCE_WEIGHTS_ONLY_LOAD, which wins over ``weights_only=False``. It is an
environment variable that every torch.load reads: left on by an import, it would break whatever else in the process, or
in a program that it starts, reads a pickle that it trusts. So it is on only while a loader of mmengine runs, in one
thread at a time.
"""

import functools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from ..errors import CheckpointError, InputError, did_you_mean
from .allow_list import ALLOWED
from .convert import OTHER_PART, convert_state_dict, describe
from .detect import find_kind
from .fetch import Normalization, fetch, say_once
from .imagenet import of_caffe2, of_torchvision_mobilenet
from .load import load_safely, refusing_code, unwrap

__all__ = ['register_schemes']

_FORCE, _FORCE_NOT = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
_LOCK = threading.RLock()


@contextmanager
def _safe_mode() -> Iterator[None]:
    """Make every torch.load safe while this lasts, also where it is called with ``weights_only=False``."""
    with _LOCK:
        before = {name: os.environ.pop(name, None) for name in (_FORCE, _FORCE_NOT)}
        os.environ[_FORCE] = '1'
        try:
            yield
        finally:
            del os.environ[_FORCE]
            os.environ.update({name: value for name, value in before.items() if value is not None})


def _guarded(loader: Callable) -> Callable:
    """Return a loader that does what ``loader`` does, in the safe mode, converts, and fails with one sentence."""

    @functools.wraps(loader)
    def load(filename: str, map_location: Any = None) -> Any:
        torch.serialization.add_safe_globals(list(ALLOWED))
        try:
            with _safe_mode(), refusing_code(filename):
                checkpoint = loader(filename, map_location)
        except OSError as error:
            if isinstance(error, InputError):
                raise
            raise CheckpointError(
                f'the checkpoint {filename} cannot be fetched ({error}): look at the network, or give a local file.'
            ) from error
        return _converted(checkpoint, filename)

    return load


def load_from_name(filename: str, map_location: Any = None) -> Any:
    """Load what ``fetch`` finds, in the names of this package's models."""
    weights = fetch(filename)
    return _converted(load_safely(weights.path, map_location), filename, weights.normalization)


def _load_from_torchvision(filename: str, map_location: Any = None) -> Any:
    """Load as mmengine does, which needs torchvision itself only for the names that came with its version 0.13."""
    name = filename.partition('://')[2]
    addresses = mmengine.load(Path(mmengine.__path__[0], 'hub', 'torchvision_0.12.json'))
    if name not in addresses:
        try:
            addresses = mmengine_checkpoint.get_torchvision_models()
        except ImportError as error:
            raise CheckpointError(
                f'{filename} needs the package torchvision: pip install torchvision, or give a file or an address.'
            ) from error
    if name not in addresses:
        hint = did_you_mean(name, addresses, prefix='torchvision://')
        raise CheckpointError(f'torchvision has no weights {name}, {hint or "give a file or an address."}')
    return load_from_name(addresses[name], map_location)


def register_schemes() -> None:
    """Add ``timm://``, ``hf://`` and ``mmcentermask://`` to mmengine's CheckpointLoader, and make all schemes safe.

    ``load_from``, ``--resume``, ``init_cfg=dict(type='Pretrained')``, init_detector and DetInferencer go through it.

    >>> register_schemes()
    >>> CheckpointLoader.load_checkpoint('timm://ese_vovnet39b.ra_in1k')  # doctest: +SKIP
    """
    torch.serialization.add_safe_globals(list(ALLOWED))  # so torch.load itself reads our checkpoints, too
    mmengine_checkpoint.get_torch_safe_globals = list  # none, where the maintained line would allow getattr
    mmengine_checkpoint.load_from_http = load_from_name  # torchvision:// and others end in it
    for prefix, loader in list(CheckpointLoader._schemes.items()):
        CheckpointLoader.register_scheme(prefix, _guarded(loader), force=True)
    names = ('', 'http://', 'https://', 'timm://', 'hf://', 'mmcentermask://')
    CheckpointLoader.register_scheme(names, load_from_name, force=True)
    CheckpointLoader.register_scheme(('torchvision://', 'modelzoo://'), _load_from_torchvision, force=True)


def _converted(checkpoint: Any, name: str, normalization: Normalization | None = None) -> Any:
    """Convert what has another code base's names; a VoVNet beside other parts is there with and without its prefix."""
    _refuse_older(checkpoint, name)
    try:
        tensors = unwrap(checkpoint, name).tensors
        kind, prefix = find_kind(tensors) or (None, '')
    except CheckpointError:
        tensors, kind = {}, None  # no checkpoint of a model, or more than one VoVNet: of something else
    if name.startswith('timm://') and (kind is None or not kind.of_timm):
        raise CheckpointError(
            f'{name} is of another architecture, and timm:// takes its ese_vovnet* only: use '
            f'hf://timm/{name.removeprefix("timm://")}/model.safetensors for the file as it is.'
        )
    if 'res2_0_branch2a_w' in tensors:
        return dict(state_dict=of_caffe2(tensors))
    if name.startswith('mmcentermask://') and 'features.0.0.weight' in tensors:
        return dict(state_dict=of_torchvision_mobilenet(tensors, normalization))
    if kind is None:
        return checkpoint
    if kind.of_timm and normalization is None:
        raise CheckpointError(
            f"{name} is {kind.name}, and does not say how timm's images were normalized: put the config.json of its "
            'hub repository beside the file, or give its name, as timm://ese_vovnet39b.ra_in1k.'
        )
    try:
        conversion = convert_state_dict(tensors, normalization)
    except CheckpointError as error:
        raise CheckpointError(f'the checkpoint {name} cannot be converted: {error}') from error
    say_once('\n'.join([f'{name} is {conversion.kind}, converted on the way.', *conversion.notes]))
    state = conversion.state_dict
    if OTHER_PART in conversion.left_out.values():
        # what is loaded may be a backbone, a whole model with this VoVNet in the place of its own, or with its own
        state = tensors | {prefix + ours: value for ours, value in state.items()} | state
    return dict(meta=describe(conversion), state_dict=state)


def _refuse_older(checkpoint: Any, name: str) -> None:
    """Refuse a file that was converted from CenterMaskV1 before FORMAT_VERSION 1."""
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict) and 'maskrcnn-benchmark' in str(meta.get('source_kind')) and 'format_version' not in meta:
        raise CheckpointError(
            f'the checkpoint {name} was converted from CenterMaskV1 by an older version of this package, which left '
            'the eps of its batch norms wrong: convert the original again with tools/convert_checkpoint.py.'
        )
