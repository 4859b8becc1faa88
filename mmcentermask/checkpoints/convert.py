"""Converts published checkpoints into ones that this package's configs load."""

import io
import os
import re
import stat
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import mmengine
import torch
from mmdet.datasets import CocoDataset, CocoPanopticDataset
from torch import Tensor

from ..atomic_write import atomic_write
from ..errors import CheckpointError, OutputError, first_few
from ..models.vovnet import VARIANTS
from ..version import __version__
from .detect import LAST_LAYERS, Kind, Target, find_target, require_kind
from .fetch import Normalization, fetch, sha256
from .imagenet import EPS, fold_normalization
from .load import FORMAT_VERSION, load_safely, unwrap
from .rename import TO_AUTHORS, rename

__all__ = ['OTHER_PART', 'Conversion', 'convert_checkpoint', 'convert_state_dict', 'describe']

OTHER_PART = 'of another part of the model'
"""Why a parameter beside a VoVNet was left out."""

_COUNTER = 'num_batches_tracked'
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
    written_as: str | None = None  # prefix before its authors' names, which it was written with; None for our names

    def report(self) -> str:
        """Return what a user wants to know, a fact a line."""
        lines = [f'recognized: {self.kind}', f'mapped: {self.mapped} parameters']
        lines += [f'added: {n} {why}' for why, n in Counter(self.added.values()).items()]
        for why in dict.fromkeys(self.left_out.values()):
            names = [name for name, reason in self.left_out.items() if reason == why]
            lines.append(f'left out: {first_few(names)} ({why})')
        if self.written_as is not None:
            lines.append(f"names: those of VoVNet's authors, under {self.written_as or 'no prefix'}")
        elif self.config:
            lines.append(f'fits: configs/centermask/{self.config}.py')
        else:
            lines.append(
                f"fits: any config with VoVNet, arch '{self.arch}', by model.backbone.arch={self.arch} "
                'model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=DST'
            )
        return '\n'.join(lines + [f'note: {note}' for note in self.notes])


def convert_state_dict(
    tensors: dict[str, Tensor], normalization: Normalization | None = None, own: bool = False
) -> Conversion:
    """Recognize parameters by their names and give them the names of our models.

    Args:
        tensors (dict): Official name -> parameter, without ``module.`` before the names. A VoVNet may have any prefix,
            and parameters of other parts of a model beside it, which are left out.
        normalization (Normalization, optional): Of the images that timm's weights were trained on, to be folded into
            them; weights of others have none. Defaults to None, which leaves them to the config.
        own (bool): Take a VoVNet with our names too. Defaults to False.

    Returns:
        Conversion: The state dict has every name of the model that the fitting config builds, and no other.

    Raises:
        CheckpointError: If it is of no known kind, or a parameter is missing, unknown or of another shape.

    >>> convert_state_dict(torch.load('vovnet39_ese_detectron2.pth')).arch  # doctest: +SKIP
    'V-39'
    """
    kind, prefix = require_kind(tensors, own)
    names = [name for name in tensors if name.startswith(prefix)]
    official, problems = {}, {'missing': [], 'misshapen': [], 'unknown': []}
    for name, ours in rename((name.removeprefix(prefix) for name in names), kind.table).items():
        if official.setdefault(ours, prefix + name) != prefix + name:
            problems['unknown'].append(prefix + name)  # another has its place
    target = find_target(kind, {ours: tuple(tensors[name].shape) for ours, name in official.items()})
    official = {ours: name for ours, name in official.items() if ours in target.shapes}
    background = LAST_LAYERS if kind.family == 'centermask-v1' else ()
    state, added = {}, {}
    for ours, shape in target.shapes.items():
        if ours not in official:
            value, why = _constant(kind, target, ours)
            if value is None:
                problems['missing'].append(ours)
            else:
                state[ours], added[ours] = value, why
            continue
        value, drop = tensors[official[ours]], ours.startswith(background)
        rows = (shape[0] + 1, *shape[1:]) if drop else shape
        if tuple(value.shape) != rows and not (rows == () and value.numel() == 1):
            problems['misshapen'].append(f'{official[ours]} is {tuple(value.shape)}, not {rows}')
            continue
        # a copy without the background's row, since a slice would bring the whole storage into the file
        state[ours] = value[1:].clone() if drop else value.reshape(shape)
    placed = {*official.values(), *problems['unknown']}
    left_out = {name: _why_left_out(name, target, prefix) for name in tensors if name not in placed}
    problems['unknown'] += [name for name, why in left_out.items() if not why]
    if any(problems.values()):
        told = '; '.join(f'{len(names)} {what}: {first_few(names)}' for what, names in problems.items() if names)
        raise CheckpointError(
            f'it looks like {kind.name}, but of the {len(target.shapes)} parameters of {target} not all fit; '
            f'{told}. Give the complete checkpoint of a published model.'
        )
    if kind.family == 'centermask-v1':
        _fold_missing_eps(state)
    for leaf in ('weight', 'bias') if kind.family == 'panoptic-centermask' else ():
        # its first output stands for things, and our last one
        name = f'semantic_head.conv_logits.{leaf}'
        state[name] = state[name].roll(-1, 0)
    notes = _notes(kind, target, added, normalization)
    if kind.of_timm and normalization is not None and fold_normalization(state, normalization):
        notes.append(
            'Its images had another mean than our configs subtract: features are the same but for what the border of '
            'an image adds, where padding then stands for our mean.'
        )
    return Conversion(
        kind=kind.name if target.config else f'{kind.name}, {target.arch}',
        state_dict=state,
        official=official,
        mapped=len(state) - len(added),
        added=added,
        left_out=left_out,
        config=target.config,
        arch=target.arch,
        num_classes=target.num_classes,
        notes=notes,
    )


def _fold_missing_eps(state: dict[str, Tensor]) -> None:
    """Let batch norms with an eps answer as CenterMaskV1's, which have none: scale = weight / sqrt(variance).

    Each weight is multiplied by sqrt((variance + eps) / variance). Only the backbone has batch norms.
    """
    for norm in [name.removesuffix('.running_var') for name in state if name.endswith('.running_var')]:
        weight, variance = state[f'{norm}.weight'], state[f'{norm}.running_var'].double()
        folded = (weight.double() * ((variance + EPS) / variance).sqrt()).to(weight.dtype)
        if not folded.is_meta and not folded.isfinite().all():
            raise CheckpointError(
                f'the batch norm {norm} has variances that are not positive, which the original divides by: '
                'give the checkpoint of a model that works there.'
            )
        state[f'{norm}.weight'] = folded


def _constant(kind: Kind, target: Target, name: str) -> tuple[Tensor | None, str]:
    """Return the value of a parameter that a checkpoint need not have, or None, and why it need not."""
    if name.endswith(_COUNTER):
        return torch.zeros((), dtype=torch.long), 'counters of frozen norms, 0'
    module = re.fullmatch(r'stage(\d)\.(\d+)\.attention\.fc\.(weight|bias)', name)
    if module and kind.of_timm and int(module[2]) + 1 < VARIANTS[target.arch].num_modules[int(module[1]) - 2]:
        # timm has eSE in a stage's last module only; hardsigmoid(0 * x + 3) is exactly 1
        value = 0.0 if module[3] == 'weight' else 3.0
        return torch.full(target.shapes[name], value), 'parameters of eSE that change nothing'
    return None, ''


def _why_left_out(name: str, target: Target, prefix: str) -> str:
    """Say why what the model has no place for may be left out; '' where it may not."""
    if target.arch and not name.startswith(prefix):
        return OTHER_PART
    if _CONSTANTS.search(name):
        return 'a constant that the config holds'
    if name.endswith(_COUNTER):
        return 'a counter that nothing reads'
    return 'the classifier' if target.arch and _CLASSIFIER.fullmatch(name) else ''


def _notes(kind: Kind, target: Target, added: dict[str, str], normalization: Normalization | None) -> list[str]:
    notes = []
    if target.num_classes not in (None, len(CocoDataset.METAINFO['classes'])):
        notes.append(
            f'It has {target.num_classes} classes: set model.num_classes={target.num_classes}, and give '
            'your dataset in the config; which class is which, the checkpoint does not say.'
        )
    if kind.of_timm:
        if normalization is None:
            notes.append(
                "timm's weights were trained on RGB images, and no config.json beside the file says how they were "
                'normalized: set model.data_preprocessor.bgr_to_rgb=True '
                'model.data_preprocessor.mean=[123.675,116.28,103.53] '
                'model.data_preprocessor.std=[58.395,57.12,57.375] '
                '(where its model card gives mean and std 0.5: mean and std [127.5,127.5,127.5]).'
            )
        else:
            mean, std = normalization
            notes.append(
                f'RGB, mean {mean} and std {std} of its images are folded into the stem: it takes images as our '
                'configs give them (BGR, 0..255, std 1).'
            )
        if modules := sum(name.endswith('attention.fc.weight') for name in added):
            notes.append(
                f'timm has eSE only in the last module of a stage; in the other {modules} modules it is set to '
                'multiply by exactly 1 (weight 0, bias 3).'
            )
    return notes


def convert_checkpoint(src: str | Path, dst: str | Path | None = None, to: str | None = None) -> Conversion:
    """Convert a checkpoint.

    Args:
        src (str or Path): A published checkpoint: a file, or a name as ``fetch`` takes it.
        dst (str or Path, optional): Where to write the converted one, which our config loads with nothing
            missing and nothing unexpected. Nothing is written if anything is wrong. Defaults to None, which
            writes nothing.
        to (str, optional): Write the VoVNet of ``src``, which may have our names too, with its authors' names under
            this prefix, as 3D detectors take it: ``'img_backbone'``. Defaults to None, for our names.

    Returns:
        Conversion: What was done.

    Raises:
        MissingFileError: If there is no ``src``.
        CheckpointError: If ``src`` cannot be fetched or read, wants to run code, or does not fit.
        OutputError: If ``dst`` cannot be written.

    >>> print(convert_checkpoint('centermask2-V-39-eSE-FPN-ms-3x.pth', 'converted.pth').report())  # doctest: +SKIP
    """
    path, normalization = fetch(str(src))
    if dst is not None:
        _check_target(path, Path(dst))
    checkpoint = load_safely(path)
    source = unwrap(checkpoint, str(src))
    try:
        conversion = convert_state_dict(source.tensors, normalization, own=to is not None)
        state = conversion.state_dict if to is None else _with_authors_names(conversion, checkpoint, to)
    except CheckpointError as error:
        raise CheckpointError(f'{src} was not converted: {error}') from error
    conversion.left_out.update(source.left_out)
    if dst is not None:
        of_source = dict(source_file=path.name, source_sha256=sha256(path))
        _write(dict(meta=of_source | describe(conversion), state_dict=state), Path(dst))
    return conversion._replace(written_as=to)


def _with_authors_names(conversion: Conversion, checkpoint: Any, prefix: str) -> dict[str, Tensor]:
    """Return the VoVNet with its authors' names; counters that a conversion added, now or before, are left away."""
    start = 'backbone.' if conversion.config else ''
    state = {name.removeprefix(start): value for name, value in conversion.state_dict.items() if name.startswith(start)}
    if 'stem.0.conv.weight' not in state and 'stem.0.depthwise_conv.conv.weight' not in state:
        raise CheckpointError('its backbone is no VoVNet, which is all that can be written for another model.')
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    bare = isinstance(meta, dict) and meta.get('added_counters')
    prefix = f'{prefix.rstrip(".")}.'.lstrip('.')
    return {
        prefix + theirs: state[ours]
        for ours, theirs in rename(state, TO_AUTHORS).items()
        if not (ours.endswith(_COUNTER) and (bare or start + ours in conversion.added))
    }


def describe(conversion: Conversion) -> dict[str, Any]:
    """Return what the ``meta`` of a converted checkpoint says."""
    meta = dict(
        source_kind=conversion.kind,
        format_version=FORMAT_VERSION,
        mmcentermask_version=__version__,
        mmengine_version=mmengine.__version__,
        added_counters=any(name.endswith(_COUNTER) for name in conversion.added),
    )
    if conversion.config:
        meta['config'] = conversion.config
    else:
        meta['backbone'] = dict(type='VoVNet', arch=conversion.arch)
    if conversion.num_classes == len(CocoDataset.METAINFO['classes']):
        panoptic = (conversion.config or '').startswith('panoptic')
        meta['dataset_meta'] = dict((CocoPanopticDataset if panoptic else CocoDataset).METAINFO)
    return meta


def _check_target(src: Path, dst: Path) -> None:
    """Refuse what cannot or must not be written: to replace a device such as /dev/null by a file harms the machine."""
    try:
        mode = os.stat(dst).st_mode
    except ValueError as error:  # a name that no file can have
        raise OutputError(f'{dst} cannot be written ({error}): choose another place.') from error
    except OSError:
        mode = None
    if not os.path.isdir(dst.parent):
        raise OutputError(f'{dst} cannot be written, there is no folder {dst.parent}: make it first.')
    if mode is not None:
        what = 'a folder' if stat.S_ISDIR(mode) else '' if stat.S_ISREG(mode) else 'no ordinary file'
        if what or (os.path.exists(src) and dst.samefile(src)):
            raise OutputError(f'{dst} cannot be written, it is {what or "SRC"}: name a new file.')


def _write(checkpoint: dict[str, Any], dst: Path) -> None:
    content = io.BytesIO()  # torch.save itself ends in a RuntimeError on a full disk
    torch.save(checkpoint, content)
    with atomic_write(dst) as file:
        file.write(content.getbuffer())
