"""VoVNet's parameters: the authors' names, which all of their code bases share, and timm's."""

import re

from .renaming import compile_rules, rename

_LAYER = r'(?P<layer>(?:(?:depthwise|pointwise)_conv\.)?(?:conv|bn)|conv\.conv_offset)'
_OSA = r'stage(?P<stage>[2-5])\.(?P<module>\d+)'

_AUTHORS = {
    'conv': 'conv',
    'bn': 'norm',
    'conv.conv_offset': 'conv_offset',
    'depthwise_conv.conv': 'dw_conv3x3',
    'pointwise_conv.conv': 'pw_conv1x1',
    'pointwise_conv.bn': 'pw_norm',
}
_TIMM = {
    'conv': 'conv',
    'bn': 'bn',
    'depthwise_conv.conv': 'conv_dw',
    'pointwise_conv.conv': 'conv_pw',
    'pointwise_conv.bn': 'bn',
}


def _authors_module(match: re.Match) -> str:
    return f'OSA{match["stage"]}_{int(match["module"]) + 1}'


def _authors(part: str, last: str):
    """Make a replacement for a layer of an OSA module; ``{i}`` stands for its number."""

    def replace(match: re.Match) -> str:
        groups, module = match.groupdict(), _authors_module(match)
        name = f'{part}.{module}_{last}'.format(i=groups.get('i'))
        return f'stage{groups["stage"]}.{module}.{name}/{_AUTHORS[groups["layer"]]}.{groups["leaf"]}'

    return replace


_AUTHORS_RULES = compile_rules(
    [
        (
            rf'stem\.(?P<i>[012])\.{_LAYER}\.{{leaf}}',
            lambda m: f'stem.stem_{int(m["i"]) + 1}/{_AUTHORS[m["layer"]]}.{m["leaf"]}',
        ),
        (rf'{_OSA}\.layers\.(?P<i>\d+)\.{_LAYER}\.{{leaf}}', _authors('layers.{i}', '{i}')),
        (rf'{_OSA}\.concat\.{_LAYER}\.{{leaf}}', _authors('concat', 'concat')),
        (rf'{_OSA}\.reduction\.{_LAYER}\.{{leaf}}', _authors('conv_reduction', 'reduction_0')),
        (
            rf'{_OSA}\.attention\.fc\.{{leaf}}',
            lambda m: f'stage{m["stage"]}.{_authors_module(m)}.ese.fc.{m["leaf"]}',
        ),
    ]
)


def _timm(part: str):
    def replace(match: re.Match) -> str:
        groups = match.groupdict()
        name = part.format(i=groups.get('i'), layer=_TIMM.get(groups.get('layer')))
        return f'stages.{int(groups["stage"]) - 2}.blocks.{groups["module"]}.{name}.{groups["leaf"]}'

    return replace


_TIMM_RULES = compile_rules(
    [
        (
            rf'stem\.(?P<i>[012])\.{_LAYER}\.{{leaf}}',
            lambda m: f'stem.{m["i"]}.{_TIMM[m["layer"]]}.{m["leaf"]}',
        ),
        (rf'{_OSA}\.layers\.(?P<i>\d+)\.{_LAYER}\.{{leaf}}', _timm('conv_mid.{i}.{layer}')),
        (rf'{_OSA}\.concat\.{_LAYER}\.{{leaf}}', _timm('conv_concat.{layer}')),
        (rf'{_OSA}\.reduction\.{_LAYER}\.{{leaf}}', _timm('conv_reduction.{layer}')),
        (rf'{_OSA}\.attention\.fc\.{{leaf}}', _timm('attn.fc')),
    ]
)


def authors_name(name: str) -> str:
    """Return the authors' name of a parameter of our VoVNet, without any prefix.

    >>> authors_name('stage3.0.layers.0.bn.weight')
    'stage3.OSA3_1.layers.0.OSA3_1_0/norm.weight'
    """
    return rename(name, _AUTHORS_RULES)


def timm_name(name: str) -> str:
    """Return timm's name of a parameter of our VoVNet.

    >>> timm_name('stage3.0.layers.0.bn.weight')
    'stages.1.blocks.0.conv_mid.0.bn.weight'
    """
    return rename(name, _TIMM_RULES)
