"""ImageNet weights: of other backbones in the names that mmdet gives them, and for images as our configs give them."""

import re

import torch
from torch import Tensor

from .fetch import Normalization
from .rename import CAFFE2, TORCHVISION_MOBILENET_V2, rename

__all__ = ['EPS', 'fold_normalization', 'of_caffe2', 'of_torchvision_mobilenet']

EPS = 1e-5
"""Of our batch norms."""
# of our configs, which take BGR in 0..255; here RGB
_MEAN = torch.tensor([123.675, 116.28, 103.53], dtype=torch.float64)


def fold_normalization(state: dict[str, Tensor], normalization: Normalization, first: str = 'stem.0') -> bool:
    """Let a backbone answer to images as our configs give them (BGR, 0..255, less their mean) as to its own.

    With x an image in 0..255, RGB, its own input is (x / 255 - mean) / std = (x - M) / (255 std) + d, with M the mean
    of our configs and d = (M / 255 - mean) / std. The first factor and the order of the channels go into the first
    convolution, what d adds into the running mean of its norm. The convolution pads with zeros, which then stand for M
    in the place of the other mean: where d is not 0, outputs at the very border of an image differ.

    Args:
        state (dict): Our name -> parameter of the backbone, changed in place.
        normalization (Normalization): Its own.
        first (str): Its first layer, a convolution and a norm. Defaults to 'stem.0', VoVNet's.

    Returns:
        bool: Whether the border differs.
    """
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in normalization)
    shift = (_MEAN / 255 - mean) / std
    weight, centre = state[f'{first}.conv.weight'], state[f'{first}.bn.running_mean']
    added = (weight.double().cpu() * shift[:, None, None]).sum((1, 2, 3))
    folded = (weight.double().cpu() / (255 * std[:, None, None])).flip(1)
    state[f'{first}.conv.weight'] = folded.to(weight)
    state[f'{first}.bn.running_mean'] = (centre.double().cpu() - added).to(centre)
    return bool(shift.abs().max() > 1e-6)


def of_caffe2(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a ResNet or ResNeXt of Detectron's or detectron2's ``ImageNetPretrained``, as its ``.pkl`` holds it.

    Detectron folds the statistics of batch norms into their weight and bias. Mean 0 and variance 1 - eps then give the
    same answer. The classifier, the momenta of training and the bias of the first convolution are left away; the last
    is 0 but for rounding, and Detectron leaves it out too.
    """
    state = {
        ours: tensors[name]
        for name, ours in rename(tensors, CAFFE2).items()
        if re.search(r'\.(?:weight|bias|running_mean|running_var)$', ours) and ours != 'conv1.bias'
    }
    for norm in [name.removesuffix('.bias') for name in state if name.endswith('.bias')]:
        state.setdefault(f'{norm}.running_mean', torch.zeros_like(state[f'{norm}.bias']))
        state.setdefault(f'{norm}.running_var', torch.full_like(state[f'{norm}.bias'], 1 - EPS))
    return state


def of_torchvision_mobilenet(tensors: dict[str, Tensor], normalization: Normalization) -> dict[str, Tensor]:
    """Rename torchvision's MobileNetV2 without its last convolution and classifier, and fold its normalization."""
    names = rename(tensors, TORCHVISION_MOBILENET_V2).items()
    state = {ours: tensors[name] for name, ours in names if ours.startswith(('conv1.', 'layer'))}
    fold_normalization(state, normalization, 'conv1')
    return state
