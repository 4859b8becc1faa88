"""What a checkpoint is: its kind by a few decisive names, and which of our models it fills by many parameters.

One missing or misshapen parameter changes none of it, and is then named by the comparison with the model.
"""

import functools
import re
import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from ..errors import CheckpointError, MissingFileError
from ..model_index import find_config
from ..models.vovnet import VARIANTS, VoVNet
from .rename import CENTERMASK2, CENTERMASK_V1, PANOPTIC_CENTERMASK2, TIMM, TIMM_DEPTHWISE, VOVNET, Table

__all__ = ['Kind', 'Shapes', 'Target', 'find_kind', 'find_target']

Shapes = dict[str, tuple[int, ...]]


class Kind(NamedTuple):
    """A kind of checkpoint that is recognized."""

    name: str  # in words
    sign: str  # pattern that the begin of one of its names matches; group 1, if any, is a prefix of all of them
    table: Table = ()
    family: str | None = None  # as our configs' names begin; None for a backbone

    @property
    def of_timm(self) -> bool:
        """Whether timm's normalization of images belongs to it."""
        return self.table in (TIMM, TIMM_DEPTHWISE)


_PREFIX = r'((?:.*\.)?)'
_TIMM_SIGN = _PREFIX + r'stages\.0\.blocks\.0\.conv_mid\.0\.conv'
_KINDS = (
    Kind('Panoptic-CenterMask2 (detectron2)', r'sem_seg_head\.', PANOPTIC_CENTERMASK2, 'panoptic-centermask'),
    Kind('CenterMask2 (detectron2)', r'proposal_generator\.fcos_head\.', CENTERMASK2, 'centermask'),
    Kind('CenterMaskV1 (maskrcnn-benchmark)', r'rpn\.head\.(?:cls|bbox)_tower\.', CENTERMASK_V1, 'centermask-v1'),
    Kind("timm's VoVNet", _TIMM_SIGN + r'_dw\.', TIMM_DEPTHWISE),
    Kind("timm's VoVNet", _TIMM_SIGN + r'\.', TIMM),
    Kind('VoVNet by its authors', _PREFIX + r'(?:stem\.stem_[123]/|stage[2-5]\.OSA[2-5]_\d+\.)', VOVNET),
)
_OWN = Kind('VoVNet of this package', _PREFIX + r'stage[2-5]\.\d+\.layers\.\d+\.')
_OURS = re.compile(r'(backbone\.)?(stage[2-5]\.\d+\.layers|bbox_head|neck)\.')


def find_kind(names: Iterable[str], kinds: Iterable[Kind] = _KINDS) -> tuple[Kind, str] | None:
    """Recognize by its parameters, without ``module.``, a checkpoint that has not this package's names.

    Returns:
        tuple[Kind, str] | None: The kind and the prefix of its names; None if it is none of ``kinds``.

    Raises:
        CheckpointError: If it holds more than one backbone.
    """
    names = list(names)
    for kind in kinds:
        matches = [match for match in (re.match(kind.sign, name) for name in names) if match]
        if matches:
            prefixes = sorted({match[1] for match in matches}) if matches[0].re.groups else ['']
            if len(prefixes) > 1:
                raise CheckpointError(f'it holds more than one VoVNet, under {", ".join(prefixes)}: give one alone.')
            return kind, prefixes[0]
    return None


def require_kind(names: Iterable[str], own: bool = False) -> tuple[Kind, str]:
    """Recognize a checkpoint that can be converted, as ``find_kind``, or raise CheckpointError.

    A VoVNet with this package's names is taken from under a prefix that our models do not have; with ``own`` from
    anywhere.
    """
    names = list(names)
    found = find_kind(names)
    if found is None and (mine := find_kind(names, [_OWN])) and (own or mine[1] not in ('', 'backbone.')):
        return mine
    if found is None and any(map(_OURS.match, names)):
        raise CheckpointError(
            "its parameters have this package's names already: use it as it is, in load_from or init_cfg."
        )
    if found is None:
        raise CheckpointError(
            f'its parameters are of no model that the converter knows (it begins with {", ".join(names[:3])}): give '
            "a checkpoint of CenterMask2, of CenterMaskV1, of VoVNet by its authors, or of timm's ese_vovnet."
        )
    return found


class Target(NamedTuple):
    """One of our models, to be filled."""

    shapes: Shapes  # our name -> shape; not to be changed
    config: str | None = None  # name of the config that builds it, without ``.py``; None for a backbone
    arch: str | None = None  # of a backbone: the row of VoVNet's table
    num_classes: int | None = None

    def __str__(self) -> str:
        return self.config or f'VoVNet {self.arch}'


def find_target(kind: Kind, shapes: Shapes) -> Target:
    """Find the model that a checkpoint fills, by its shapes under our names.

    Raises:
        CheckpointError: If no published model is like it.
    """
    if kind.family is None:
        arch = _vovnet(shapes)
        return Target(_backbone_shapes(arch), arch=arch)
    body = {name.removeprefix('backbone.'): shape for name, shape in shapes.items() if name.startswith('backbone.')}
    lite = _most([shape[:1] for name, shape in shapes.items() if re.match(r'neck\..*weight$', name)]) == (128,)
    scored = any(name.startswith('roi_head.mask_iou_head.') for name in shapes)
    background = kind.family == 'centermask-v1'  # the last layers of its mask branch have an output for it
    outputs = [(layer, leaf) for layer in ('bbox_head.conv_cls', *LAST_LAYERS) for leaf in ('weight', 'bias')]
    num_classes = _most(
        [
            shape[0] - (background and layer in LAST_LAYERS)
            for layer, leaf in outputs
            if (shape := shapes.get(f'{layer}.{leaf}'))
        ]
    )
    if (num_classes or 0) < 1:
        raise CheckpointError(f'it looks like {kind.name}, but has neither class logits nor a mask predictor.')
    backbone = _backbone(body)
    once = background and not lite and (backbone.endswith('-dcn') or (backbone == 'mv2' and scored))
    config = f'{kind.family}{"-lite" * lite}_{backbone}_fpn_{"1x" if once else "ms-4x" if lite else "ms-3x"}_coco'
    return Target(_model_shapes(config, num_classes), config, num_classes=num_classes)


LAST_LAYERS = ('roi_head.mask_head.conv_logits', 'roi_head.mask_iou_head.fc_mask_iou')
"""Of the mask branch: one output a class."""


def _most(values: list[Any]) -> Any:
    return statistics.mode(values) if values else None


def _backbone(shapes: Shapes) -> str:
    """Return the backbone as our configs' names have it."""
    signs = {
        'VoVNet': r'stage[2-5]\.',
        'mv2': r'layer\d\.\d+\.(?:expand|depthwise|linear)_conv\.',
        'ResNet': r'layer[1-4]\.\d+\.conv\d',
    }
    counts = {kind: sum(bool(re.match(sign, name)) for name in shapes) for kind, sign in signs.items()}
    kind = max(counts, key=counts.get)
    if not counts[kind]:
        raise CheckpointError(
            'its backbone is none of VoVNet, ResNet, ResNeXt and MobileNetV2 '
            f'(parameters begin with {", ".join(list(shapes)[:2]) or "nothing"}): '
            'give a checkpoint of a published model.'
        )
    if kind == 'VoVNet':
        deformable = any('.conv_offset.' in name for name in shapes)
        return _vovnet(shapes).lower().replace('-', '', 1) + '-ese' + '-dcn' * deformable
    if kind == 'mv2':
        return kind
    depth = 101 if sum(bool(re.match(r'layer3\.\d+\.conv1\.weight', name)) for name in shapes) > 6 else 50
    convs = [shape for name, shape in shapes.items() if re.match(r'layer\d\.\d+\.conv2\.weight', name)]
    groups = _most([shape[0] // max(shape[1], 1) for shape in convs if len(shape) == 4])
    return f'x{depth}-32x8d' if groups == 32 else f'r{depth}'


def _vovnet(shapes: Shapes) -> str:
    """Return the row of VoVNet's table from whose parameters the fewest differ."""
    return min(VARIANTS, key=lambda arch: len(_backbone_shapes(arch).items() ^ shapes.items()))


@functools.cache
def _backbone_shapes(arch: str) -> Shapes:
    with torch.device('meta'):
        return _shapes_of(VoVNet(arch))


@functools.cache
def _model_shapes(config: str, num_classes: int) -> Shapes:
    try:
        model = Config.fromfile(find_config(config)).model
    except MissingFileError:
        raise CheckpointError(
            f'no config of this package builds its architecture, which would be named {config}: give a checkpoint of a '
            'published model.'
        ) from None
    model.num_classes = num_classes
    with torch.device('meta'), DefaultScope.overwrite_default_scope('mmdet'):
        return _shapes_of(MODELS.build(model))


def _shapes_of(model: torch.nn.Module) -> Shapes:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}
