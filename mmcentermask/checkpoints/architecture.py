"""Which architecture a set of parameters is of, and which of our configs builds it.

Every fact is a majority vote of many parameters, so that one missing or misshapen parameter changes none
of them, and is then named by the comparison with the model.
"""

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from ..errors import CheckpointError
from ..models.vovnet import VARIANTS, VoVNet

Shapes = dict[str, tuple[int, ...]]


class Architecture(NamedTuple):
    """What tells one CenterMask from another."""

    family: str  # as our configs' names begin: 'centermask' or 'centermask-v1'
    backbone: str  # as in our configs' names: 'v39-ese', 'r50', 'mv2', ...
    backbone_type: str  # class of our backbone
    lite: bool
    deformable: bool
    scored: bool  # has a mask-IoU head
    num_classes: int

    @property
    def config(self) -> str:
        """Name of the config that builds it, as published, without ``.py``."""
        once = self.family == 'centermask-v1' and (self.deformable or (self.backbone == 'mv2' and self.scored))
        schedule = '1x' if once and not self.lite else 'ms-4x' if self.lite else 'ms-3x'
        family = f'{self.family}-lite' if self.lite else self.family
        return f'{family}_{self.backbone}{"-dcn" if self.deformable else ""}_fpn_{schedule}_coco'


def most_common(values: Iterable[int]) -> int:
    """Return the value that comes most often, 0 if there is none."""
    ranked = Counter(values).most_common(1)
    return ranked[0][0] if ranked else 0


def shapes_on_meta(build: Callable[[], nn.Module]) -> Shapes:
    """Return name -> shape of a model that is built without memory for its parameters."""
    with torch.device('meta'):
        model = build()
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


@functools.cache
def vovnet_shapes(arch: str) -> Shapes:
    """Return our name -> shape of a row of VoVNet's table of variants; not to be changed."""
    return shapes_on_meta(lambda: VoVNet(arch))


def find_vovnet(shapes: Shapes, official_name: Callable[[str], str]) -> str:
    """Return the row of VoVNet's table of variants that fits best.

    Args:
        shapes (dict): Official name -> shape, of the backbone's parameters.
        official_name (Callable): From our backbone's names to the official ones.
    """

    def fit(arch: str) -> int:
        ours = {official_name(n): shape for n, shape in vovnet_shapes(arch).items() if 'num_batches' not in n}
        hits = sum(shapes.get(name) == shape for name, shape in ours.items())
        return 2 * hits - len(ours)  # a smaller variant may be a part of a larger one

    return max(VARIANTS, key=fit)


def find_backbone(shapes: Shapes, official_names: dict[str, Callable[[str], str]]) -> tuple[str, str]:
    """Return the backbone as our configs' names have it, and its class.

    Args:
        shapes (dict): Official name -> shape, of the backbone's parameters.
        official_names (dict): Class of our backbone -> function from its names to the official ones.

    Raises:
        CheckpointError: If it is none of VoVNet, ResNet, ResNeXt and MobileNetV2.
    """
    kinds = {'VoVNet': r'stem\.stem_|stage\d\.OSA', 'TrimmedMobileNetV2': r'features\.\d', 'ResNet': r'(res|layer)\d\.'}
    counts = {kind: sum(bool(re.match(start, name)) for name in shapes) for kind, start in kinds.items()}
    kind = max(counts, key=counts.get)
    if not counts[kind]:
        raise CheckpointError(
            'its backbone is none of VoVNet, ResNet, ResNeXt and MobileNetV2 '
            f'(parameters begin with {", ".join(list(shapes)[:2]) or "nothing"}): '
            'give a checkpoint of a published model.'
        )
    if kind == 'VoVNet':
        return find_vovnet(shapes, official_names[kind]).lower().replace('-', '', 1) + '-ese', kind
    if kind == 'TrimmedMobileNetV2':
        return 'mv2', kind
    blocks = {match[1] for match in (re.match(r'(?:res4|layer3)\.(\d+)\.', name) for name in shapes) if match}
    depth = 101 if len(blocks) > 6 else 50
    convs = [shape for name, shape in shapes.items() if re.search(r'\d\.conv2\.weight$', name)]
    if most_common(shape[0] // max(shape[1], 1) for shape in convs if len(shape) == 4) == 32:
        return f'x{depth}-32x8d', 'ResNeXt'
    return f'r{depth}', kind


def config_file(name: str) -> Path:
    """Return the path of one of our model configs, in the checkout or in the installed package.

    Raises:
        CheckpointError: If there is no such config.
    """
    package = Path(__file__).resolve().parent.parent
    for root in (package.parent, package / '.mim'):
        path = root / 'configs' / 'centermask' / f'{name}.py'
        if path.is_file():
            return path
    raise CheckpointError(
        f'no config of this package builds its architecture, which would be named {name}: give a checkpoint of a '
        'published model.'
    )


@functools.cache
def model_shapes(architecture: Architecture) -> Shapes:
    """Return name -> shape of the model that the fitting config builds; not to be changed."""
    model = Config.fromfile(config_file(architecture.config)).model
    model.num_classes = architecture.num_classes
    with DefaultScope.overwrite_default_scope('mmdet'):
        return shapes_on_meta(lambda: MODELS.build(model))
