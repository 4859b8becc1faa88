"""Converts published checkpoints into ones that this package's configs load."""

import hashlib
import os
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import mmengine
import torch
from mmdet.datasets import CocoDataset
from torch import Tensor

from ..errors import CheckpointError
from ..version import __version__
from .kinds import FORMAT_VERSION, Plan, constant, fold_missing_eps, plan_for
from .safe_load import load_safely
from .source import unwrap

_NAMED = 3  # parameters to name in a message
_CONSTANTS = re.compile(r'pixel_(mean|std)$|anchor_generator\.')
_CLASSIFIER = re.compile(r'(.*\.)?(classifier|fc|head|linear|logits)\b.*\.(weight|bias)')


class Conversion(NamedTuple):
    """A converted checkpoint and what there is to say about it."""

    kind: str
    state_dict: dict[str, Tensor]
    official: dict[str, str]  # our name -> its name in the source
    mapped: int  # parameters that came from the source
    added: dict[str, str]  # our name -> why it was added
    left_out: dict[str, str]  # name in the source -> why it was left out
    config: str | None  # name of the config that fits; None for a backbone
    arch: str | None  # of a backbone: its row in VoVNet's table
    num_classes: int | None
    notes: list[str]

    def report(self) -> str:
        """Return what a user wants to know, a fact a line."""
        lines = [f'recognized: {self.kind}', f'mapped: {self.mapped} parameters']
        lines += [f'added: {n} {why}' for why, n in Counter(self.added.values()).items()]
        for why, n in Counter(self.left_out.values()).items():
            names = [name for name, reason in self.left_out.items() if reason == why]
            lines.append(f'left out: {", ".join(names[:_NAMED])}{", ..." if n > _NAMED else ""} ({why})')
        if self.config:
            lines.append(f'fits: configs/centermask/{self.config}.py')
        else:
            lines.append(
                f"fits: any config with VoVNet, arch '{self.arch}', by model.backbone.arch={self.arch} "
                'model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=DST'
            )
        return '\n'.join(lines + [f'note: {note}' for note in self.notes])


def convert_state_dict(tensors: dict[str, Tensor]) -> Conversion:
    """Recognize parameters by their names and give them the names of our models.

    Args:
        tensors (dict): Official name -> parameter, without ``module.`` before the names.

    Returns:
        Conversion: The state dict has every name of the model that the fitting config builds, and no other.

    Raises:
        CheckpointError: If it is of no known kind, or a parameter is missing, unknown or of another shape.
    """
    plan = plan_for(tensors)
    state, added, problems = {}, {}, {'missing': [], 'misshapen': []}
    for name, shape in plan.shapes.items():
        official = plan.official[name]
        value = tensors.get(official)
        if value is None:
            value = constant(plan, name)
            if value is None:
                problems['missing'].append(f'{official} (ours: {name})')
            else:
                state[name] = value
                tracked = name.endswith('num_batches_tracked')
                added[name] = 'counters of frozen norms, 0' if tracked else 'parameters of eSE that change nothing'
            continue
        rows = (shape[0] + 1, *shape[1:]) if name in plan.background else shape
        if tuple(value.shape) != rows and not (rows == () and value.numel() == 1):
            problems['misshapen'].append(f'{official} is {tuple(value.shape)}, not {rows}')
            continue
        # a copy, since a slice would bring the whole storage into the file
        state[name] = value[1:].clone() if name in plan.background else value.reshape(shape)
    left_out, problems['unknown'] = _left_over(tensors, plan)
    _raise_on(problems, plan)
    if plan.config and plan.config.startswith('centermask-v1'):
        fold_missing_eps(state)
    mapped = len(state) - len(added)
    return Conversion(
        plan.kind,
        state,
        dict(plan.official),
        mapped,
        added,
        left_out,
        plan.config,
        plan.arch,
        plan.num_classes,
        list(plan.notes),
    )


def _left_over(tensors: dict[str, Tensor], plan: Plan) -> tuple:
    """Sort what the model has no place for into what may be left out, with the reason, and the unknown."""
    used, left_out, unknown = set(plan.official.values()), {}, []
    for name in tensors:
        if name in used:
            continue
        if _CONSTANTS.search(name):
            left_out[name] = 'a constant that the config holds'
        elif name.endswith('num_batches_tracked'):
            left_out[name] = 'a counter that nothing reads'
        elif plan.arch and _CLASSIFIER.fullmatch(name):
            left_out[name] = 'the classifier'
        else:
            unknown.append(name)
    return left_out, unknown


def _raise_on(problems: dict[str, list[str]], plan: Plan) -> None:
    parts = [
        f'{len(names)} {what}: {", ".join(names[:_NAMED])}{", ..." if len(names) > _NAMED else ""}'
        for what, names in problems.items()
        if names
    ]
    if parts:
        model = plan.config or f'VoVNet {plan.arch}'
        raise CheckpointError(
            f'it looks like {plan.kind}, but of the {len(plan.shapes)} parameters of {model} not all fit; '
            f'{"; ".join(parts)}. Give the complete checkpoint of a published model.'
        )


def convert_checkpoint(src: str | Path, dst: str | Path | None = None) -> Conversion:
    """Convert a checkpoint file.

    Args:
        src (str or Path): A published checkpoint.
        dst (str or Path, optional): Where to write the converted one, which our config loads with nothing
            missing and nothing unexpected. Nothing is written if anything is wrong. Defaults to None, which
            writes nothing.

    Returns:
        Conversion: What was done.

    Raises:
        MissingFileError: If there is no ``src``.
        CheckpointError: If ``src`` cannot be read, wants to run code, or does not fit, or ``dst`` cannot be
            written.
    """
    src = Path(os.path.expanduser(src))
    if dst is not None:
        _check_target(src, Path(dst))
    source = unwrap(load_safely(src), str(src))
    try:
        conversion = convert_state_dict(source.tensors)
    except CheckpointError as error:
        raise CheckpointError(f'{src} was not converted: {error}') from error
    conversion.left_out.update(source.left_out)
    if dst is not None:
        _write(dict(meta=_meta(conversion, src), state_dict=conversion.state_dict), Path(dst))
    return conversion


def _meta(conversion: Conversion, src: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with open(src, 'rb') as file:
        while block := file.read(1 << 22):
            digest.update(block)
    meta = dict(
        source_file=src.name,
        source_sha256=digest.hexdigest(),
        source_kind=conversion.kind,
        format_version=FORMAT_VERSION,
        mmcentermask_version=__version__,
        mmengine_version=mmengine.__version__,
    )
    if conversion.config:
        meta['config'] = conversion.config
    else:
        meta['backbone'] = dict(type='VoVNet', arch=conversion.arch)
    if conversion.num_classes == len(CocoDataset.METAINFO['classes']):
        meta['dataset_meta'] = dict(CocoDataset.METAINFO)
    return meta


def _check_target(src: Path, dst: Path) -> None:
    if not os.path.isdir(dst.parent):
        raise CheckpointError(f'{dst} cannot be written, there is no folder {dst.parent}: make it first.')
    if os.path.exists(dst):
        # to replace a device such as /dev/null by a file would harm the machine
        what = 'a folder' if dst.is_dir() else '' if dst.is_file() else 'no ordinary file'
        if os.path.exists(src) and dst.samefile(src):
            what = what or 'SRC'
        if what:
            raise CheckpointError(f'{dst} cannot be written, it is {what}: name a new file.')


def _write(checkpoint: dict[str, Any], dst: Path) -> None:
    """Write beside ``dst`` and rename, so that a broken run leaves no half of a file."""
    try:
        handle, name = tempfile.mkstemp(prefix=f'.{dst.name}.', dir=dst.parent)
    except (OSError, ValueError) as error:  # a name that no file can have
        reason = getattr(error, 'strerror', None) or error
        raise CheckpointError(f'{dst} cannot be written ({reason}): choose another place.') from error
    try:
        with os.fdopen(handle, 'wb') as file:
            torch.save(checkpoint, file)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, dst)
    except OSError as error:
        raise CheckpointError(f'{dst} cannot be written ({error.strerror}): choose another place.') from error
    finally:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
