"""The names of VoVNet's parameters in other code bases, written down apart from the converter's tables."""

import torch

from mmcentermask.models.vovnet import VARIANTS, VoVNet

# name of a layer's convolution and norm; of a depthwise separable layer's two convolutions and norm
_AUTHORS = ('/conv', '/norm'), ('/dw_conv3x3', '/pw_conv1x1', '/pw_norm')
_TIMM = ('.conv', '.bn'), ('.conv_dw', '.conv_pw', '.bn')
_OURS = ('.conv', '.bn'), ('.depthwise_conv.conv', '.pointwise_conv.conv', '.pointwise_conv.bn')


def official_vovnet(arch, code_base):
    """Official name -> ours, and official name -> shape, of every parameter; ``code_base`` is 'authors' or 'timm'."""
    variant, timm = VARIANTS[arch], code_base == 'timm'
    modules = {}  # official -> ours

    def layer(theirs, ours, depthwise):
        names = (_TIMM if timm else _AUTHORS)[depthwise]
        modules.update((theirs + a, ours + b) for a, b in zip(names, _OURS[depthwise]))

    for i in range(3):
        layer(f'stem.{i}' if timm else f'stem.stem_{i + 1}', f'stem.{i}', variant.depthwise and i > 0)
    width = variant.stem[-1]
    for i, number in enumerate(variant.num_modules):
        for j in range(number):
            osa, ours = f'OSA{i + 2}_{j + 1}', f'stage{i + 2}.{j}'
            theirs = f'stages.{i}.blocks.{j}' if timm else f'stage{i + 2}.{osa}'
            for k in range(variant.num_convs):
                name = f'{theirs}.conv_mid.{k}' if timm else f'{theirs}.layers.{k}.{osa}_{k}'
                layer(name, f'{ours}.layers.{k}', variant.depthwise)
            layer(f'{theirs}.conv_concat' if timm else f'{theirs}.concat.{osa}_concat', f'{ours}.concat', False)
            if variant.depthwise and width != variant.conv_channels[i]:
                name = f'{theirs}.conv_reduction' if timm else f'{theirs}.conv_reduction.{osa}_reduction_0'
                layer(name, f'{ours}.reduction', False)
            if not timm or j == number - 1:
                modules[f'{theirs}.{"attn" if timm else "ese"}.fc'] = f'{ours}.attention.fc'
            width = variant.out_channels[i]
    with torch.device('meta'):
        state = VoVNet(arch).state_dict()
    theirs = {ours: official for official, ours in modules.items()}
    names = {}
    for ours in state:
        module, _, leaf = ours.rpartition('.')
        if module in theirs and leaf != 'num_batches_tracked':
            names[f'{theirs[module]}.{leaf}'] = ours
    return names, {official: tuple(state[ours].shape) for official, ours in names.items()}
