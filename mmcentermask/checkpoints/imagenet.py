"""ImageNet weights of other backbones than VoVNet, in the names that mmdet gives them."""

import re

import torch
from torch import Tensor

from .fetch import Normalization
from .fold import EPS, fold_normalization
from .rename import CAFFE2, TORCHVISION_MOBILENET_V2, rename

__all__ = ['of_caffe2', 'of_torchvision_mobilenet']


def of_caffe2(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a ResNet or ResNeXt of Detectron's or detectron2's ``ImageNetPretrained``.

    Detectron folds the statistics of batch norms into their weight and bias. Mean 0 and variance 1 - eps then give the
    same answer.

    Args:
        tensors (dict): Name -> parameter, of the ``.pkl``.

    Returns:
        dict[str, Tensor]: Name in mmdet's ResNet -> parameter; without the classifier, the momenta of training, and the
        bias of the first convolution, which is 0 but for rounding, and which Detectron leaves out too.
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
    """Rename torchvision's MobileNetV2, and let it take images as our configs give them.

    Args:
        tensors (dict): torchvision's name -> parameter.
        normalization (Normalization): Of the images that it was trained on.

    Returns:
        dict[str, Tensor]: Name in mmdet's MobileNetV2 -> parameter, without the last convolution and the classifier.
    """
    names = rename(tensors, TORCHVISION_MOBILENET_V2).items()
    state = {ours: tensors[name] for name, ours in names if ours.startswith(('conv1.', 'layer'))}
    fold_normalization(state, normalization, 'conv1')
    return state
