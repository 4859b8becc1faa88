"""MobileNetV2's parameters: torchvision's old names, which both official code bases use."""

import re

from .renaming import compile_rules, rename

# inverted residuals in layers 1..7, which the official names count in one row, from features.1 on
_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
_CONVS = ('expand', 'depthwise', 'linear')


def _block(match: re.Match) -> str:
    layer, block = int(match['layer']), int(match['block'])
    feature = 1 + sum(_BLOCKS[: layer - 1]) + block
    conv = _CONVS.index(match['conv'])
    if layer == 1:  # expands nothing
        conv -= 1
    index = 3 * conv + ('conv', 'bn').index(match['kind'])  # convolution, norm and ReLU6 take turns
    return f'features.{feature}.conv.{index}.{match["leaf"]}'


_RULES = compile_rules(
    [
        (r'conv1\.conv\.{leaf}', r'features.0.0.\g<leaf>'),
        (r'conv1\.bn\.{leaf}', r'features.0.1.\g<leaf>'),
        (
            r'layer(?P<layer>[1-7])\.(?P<block>\d)\.(?P<conv>expand|depthwise|linear)_conv\.(?P<kind>conv|bn)\.{leaf}',
            _block,
        ),
    ]
)


def mobilenet_v2_name(name: str) -> str:
    """Return torchvision's old name of a parameter of mmdet's MobileNetV2.

    >>> mobilenet_v2_name('layer2.0.linear_conv.bn.bias')
    'features.2.conv.7.bias'
    """
    return rename(name, _RULES)
