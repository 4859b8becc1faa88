"""Names of parameters, ours -> official, as tables of patterns."""

import re
from collections.abc import Callable, Iterable

Replacement = str | Callable[[re.Match], str]
Rules = list[tuple[re.Pattern, Replacement]]

# what ends the name of a layer's parameter or buffer; `{leaf}` in a pattern stands for it
_LEAF = r'(?P<leaf>weight|bias|running_mean|running_var|num_batches_tracked)'


def compile_rules(table: Iterable[tuple[str, Replacement]]) -> Rules:
    """Compile (pattern, replacement) pairs; a replacement is a template of ``re.Match.expand`` or a function."""
    return [(re.compile(pattern.replace('{leaf}', _LEAF)), replacement) for pattern, replacement in table]


def rename(name: str, rules: Rules) -> str:
    """Return what the first rule makes of ``name`` whose pattern matches all of it.

    Raises:
        KeyError: If there is none.
    """
    for pattern, replacement in rules:
        match = pattern.fullmatch(name)
        if match:
            return match.expand(replacement) if isinstance(replacement, str) else replacement(match)
    raise KeyError(name)


def shifted(template: str, by: int) -> Callable[[re.Match], str]:
    """Make a replacement that counts from another number.

    Args:
        template (str): The official name, with ``{i}`` for the group ``i`` plus ``by`` and ``{leaf}``.
        by (int): What to add.
    """
    return lambda match: template.format(i=int(match['i']) + by, leaf=match['leaf'])


def tower(prefix: str) -> Rules:
    """Return the rules of FCOS's two towers, where convolution, GroupNorm and ReLU take turns in one sequence.

    Args:
        prefix (str): Official name of the module that has the towers, with a dot at its end.
    """

    def layer(match: re.Match) -> str:
        kind = {'cls': 'cls', 'reg': 'bbox'}[match['kind']]
        index = 3 * int(match['i']) + ('conv', 'gn').index(match['layer'])
        return f'{prefix}{kind}_tower.{index}.{match["leaf"]}'

    return compile_rules([(r'bbox_head\.(?P<kind>cls|reg)_convs\.(?P<i>\d+)\.(?P<layer>conv|gn)\.{leaf}', layer)])
