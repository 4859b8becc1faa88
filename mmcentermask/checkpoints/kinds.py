"""The kinds of checkpoints that the converter knows, each recognized by its parameters' names."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..models.vovnet import VARIANTS
from . import names_centermask, names_centermask2
from .architecture import Architecture, Shapes, find_backbone, find_vovnet, model_shapes, most_common, vovnet_shapes
from .names_vovnet import authors_name, timm_name

FORMAT_VERSION = 1
"""Of converted files; those without one are older. 1: CenterMaskV1's norms are folded (see fold_missing_eps)."""
_EPS = 1e-5  # of our batch norms

# background is class 0 of these in CenterMaskV1
_PREDICTORS = ('roi_head.mask_head.conv_logits.', 'roi_head.mask_iou_head.fc_mask_iou.')


class Plan(NamedTuple):
    """How to fill one of our models from a checkpoint."""

    kind: str  # what the checkpoint is, in words
    shapes: Shapes  # our name -> shape
    official: dict[str, str]  # our name -> name in the checkpoint
    config: str | None = None  # name of the config that fits
    arch: str | None = None  # of backbones: the row of VoVNet's table
    num_classes: int | None = None
    background: tuple[str, ...] = ()  # our names of parameters whose first row is the background's
    constants: dict[str, float] = {}  # our name -> value of a parameter that the checkpoint need not have
    notes: list[str] = []


def plan_for(tensors: dict[str, Tensor]) -> Plan:
    """Recognize a checkpoint by its parameters.

    Args:
        tensors (dict): Name -> parameter.

    Returns:
        Plan: How to fill our model from it.

    Raises:
        CheckpointError: If it is of no kind that the converter knows, or of one that it refuses.
    """
    shapes = {name: tuple(value.shape) for name, value in tensors.items()}
    for recognize, plan in _KINDS:
        if any(re.match(recognize, name) for name in shapes):
            return plan(shapes)
    raise CheckpointError(
        f'its parameters are of no model that the converter knows (it begins with {", ".join(list(shapes)[:3])}): give '
        "a checkpoint of CenterMask2, of CenterMaskV1, of VoVNet by its authors, or of timm's ese_vovnet."
    )


def _refuse_panoptic(shapes: Shapes) -> Plan:
    raise CheckpointError(
        'it is a panoptic CenterMask2 (it has a sem_seg_head), which this package has no model for yet: '
        'give one of the instance segmentation checkpoints.'
    )


def _refuse_ours(shapes: Shapes) -> Plan:
    raise CheckpointError(
        "its parameters have this package's names already: use it as it is, in load_from or init_cfg."
    )


def _centermask2(shapes: Shapes) -> Plan:
    return _detector(
        'CenterMask2 (detectron2)', 'centermask', shapes, 'backbone.bottom_up.', names_centermask2.BACKBONE_NAMES,
        lambda name, backbone, _: names_centermask2.centermask2_name(name, backbone), background=False,
    )  # fmt: skip


def _centermask_v1(shapes: Shapes) -> Plan:
    return _detector(
        'CenterMaskV1 (maskrcnn-benchmark)', 'centermask-v1', shapes, 'backbone.body.',
        names_centermask.BACKBONE_NAMES, names_centermask.centermask_name, background=True,
    )  # fmt: skip


def _detector(
    kind: str,
    family: str,
    shapes: Shapes,
    prefix: str,
    backbone_names: dict[str, Callable[[str], str]],
    official_name: Callable[[str, str, bool], str],
    background: bool,
) -> Plan:
    """Plan a whole CenterMask; ``prefix`` is where its backbone's names begin."""
    body = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    backbone, backbone_type = find_backbone(body, backbone_names)

    def votes(*modules: str) -> list[int]:
        names = [official_name(f'{module}.{leaf}', backbone_type, False) for module in modules for leaf in _LEAVES]
        return [shapes[name][0] for name in names if shapes.get(name)]

    convs = [f'neck.{part}_convs.{i}.conv' for part in ('lateral', 'fpn') for i in range(3)]
    extra = [n - background for n in votes('roi_head.mask_head.conv_logits', 'roi_head.mask_iou_head.fc_mask_iou')]
    architecture = Architecture(
        family=family,
        backbone=backbone,
        backbone_type=backbone_type,
        lite=most_common(votes(*convs)) == 128,
        deformable=any(re.search(r'/conv[._]offset\.', name) for name in body),
        scored=any('maskiou' in name for name in shapes),
        num_classes=most_common(votes('bbox_head.conv_cls') + extra),
    )
    if architecture.num_classes < 1:
        raise CheckpointError(f'it looks like {kind}, but has neither class logits nor a mask predictor.')
    ours = model_shapes(architecture)
    layers = {name.removesuffix('.conv_offset.weight') for name in ours if name.endswith('.conv_offset.weight')}
    official = {
        name: official_name(name, backbone_type, any(name.startswith(f'{layer}.') for layer in _parents(name, layers)))
        for name in ours
    }
    notes = []
    if architecture.num_classes != 80:
        notes.append(
            f'It has {architecture.num_classes} classes: set model.num_classes={architecture.num_classes}, and give '
            'your data set in the config; which class is which, the checkpoint does not say.'
        )
    return Plan(
        kind=kind,
        shapes=ours,
        official=official,
        config=architecture.config,
        num_classes=architecture.num_classes,
        background=tuple(name for name in ours if background and name.startswith(_PREDICTORS)),
        notes=notes,
    )


_LEAVES = ('weight', 'bias')


def _parents(name: str, layers: set) -> list[str]:
    """Return which of ``layers`` hold the parameter ``name``."""
    parts = name.split('.')
    return [layer for layer in ('.'.join(parts[:n]) for n in range(1, len(parts))) if layer in layers]


def _backbone(kind: str, shapes: Shapes, official_name: Callable[[str], str], notes: list[str]) -> Plan:
    arch = find_vovnet(shapes, official_name)
    ours = vovnet_shapes(arch)
    return Plan(kind=f'{kind}, {arch}', shapes=ours, official={name: official_name(name) for name in ours}, arch=arch,
                notes=notes)  # fmt: skip


_AUTHORS = r'(?P<prefix>(?:.*\.)?)(?:stem\.stem_[123]/|stage[2-5]\.OSA[2-5]_\d+\.)'


def _authors_backbone(shapes: Shapes) -> Plan:
    prefixes = {match['prefix'] for match in (re.match(_AUTHORS, name) for name in shapes) if match}
    if len(prefixes) > 1:
        raise CheckpointError(f'it holds more than one VoVNet, under {", ".join(sorted(prefixes))}: give one alone.')
    prefix = prefixes.pop()
    body = {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    plan = _backbone('VoVNet by its authors', body, authors_name, [])
    return plan._replace(official={name: prefix + official for name, official in plan.official.items()})


_TIMM_NOTES = [
    "timm's weights were trained on RGB images: set model.data_preprocessor.bgr_to_rgb=True "
    'model.data_preprocessor.mean=[123.675,116.28,103.53] model.data_preprocessor.std=[58.395,57.12,57.375] '
    '(where its model card gives mean and std 0.5: mean and std [127.5,127.5,127.5]).'
]


def _timm_backbone(shapes: Shapes) -> Plan:
    plan = _backbone("timm's VoVNet", shapes, timm_name, list(_TIMM_NOTES))
    constants = {}
    for i, count in enumerate(VARIANTS[plan.arch].num_modules):
        for j in range(count - 1):  # timm has attention in a stage's last module only
            # hardsigmoid(0 * x + 3) is exactly 1
            constants[f'stage{i + 2}.{j}.attention.fc.weight'] = 0.0
            constants[f'stage{i + 2}.{j}.attention.fc.bias'] = 3.0
    if constants:
        plan.notes.append(
            f'timm has eSE only in the last module of a stage; in the other {len(constants) // 2} modules it is set to '
            'multiply by exactly 1 (weight 0, bias 3).'
        )
    return plan._replace(constants=constants)


_KINDS = [
    (r'sem_seg_head\.', _refuse_panoptic),
    (r'proposal_generator\.fcos_head\.', _centermask2),
    (r'rpn\.head\.(cls|bbox)_tower\.', _centermask_v1),
    (r'stages\.0\.blocks\.0\.conv_mid\.', _timm_backbone),
    (_AUTHORS, _authors_backbone),
    (r'(backbone\.)?(stage[2-5]\.\d+\.layers|bbox_head|neck)\.', _refuse_ours),
]


def constant(plan: Plan, name: str) -> Tensor | None:
    """Return the value of a parameter that a checkpoint need not have, or None."""
    if name.endswith('num_batches_tracked'):
        return torch.zeros((), dtype=torch.long)
    value = plan.constants.get(name)
    return None if value is None else torch.full(plan.shapes[name], value)


def fold_missing_eps(state: dict[str, Tensor]) -> None:
    """Let batch norms with an eps answer as CenterMaskV1's, which have none: scale = weight / sqrt(variance).

    Each weight is multiplied by sqrt((variance + eps) / variance). Only the backbone has batch norms.

    Args:
        state (dict): Our name -> parameter, changed in place.

    Raises:
        CheckpointError: If a variance is not positive, where the original's own answer is not finite.
    """
    for name, variance in state.items():
        if name.endswith('.running_var'):
            norm = name.removesuffix('.running_var')
            weight, variance = state[f'{norm}.weight'], variance.double()
            folded = (weight.double() * ((variance + _EPS) / variance).sqrt()).to(weight.dtype)
            if not folded.is_meta and not folded.isfinite().all():
                raise CheckpointError(
                    f'the batch norm {norm} has variances that are not positive, which the original divides by: '
                    'give the checkpoint of a model that works there.'
                )
            state[f'{norm}.weight'] = folded


def refuse_unfolded(checkpoint: Any, path: str) -> None:
    """Refuse a file that was converted from CenterMaskV1 before its norms were folded.

    Args:
        checkpoint (Any): What the file holds.
        path (str): Its name, for the message.

    Raises:
        CheckpointError: If it is one.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if isinstance(meta, dict) and 'maskrcnn-benchmark' in str(meta.get('source_kind')) and 'format_version' not in meta:
        raise CheckpointError(
            f'the checkpoint {path} was converted from CenterMaskV1 by an older version of this package, which left '
            'the eps of its batch norms wrong: convert the original again with tools/convert_checkpoint.py.'
        )
