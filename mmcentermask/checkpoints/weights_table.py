"""The table of weights that exist, weights.json, and what it knows of a name or an address."""

import functools
import json
import re
from pathlib import Path
from typing import Any

from ..errors import InputError, did_you_mean

__all__ = ['find_row', 'known_weights', 'nearest_row', 'split_hub_source']

# OpenMMLab's server is gone; the maintained line's has its files under the same paths
_MOVED = {'https://download.openmmlab.com/': 'https://mmassets.onedl.ai/'}


@functools.cache
def known_weights() -> dict[str, dict[str, Any]]:
    """Return the table of weights that exist: name -> what, licence, sources, and mean and std where no file has them.

    >>> known_weights()['ese_vovnet39b.ra_in1k']['licence']
    'Apache-2.0'
    """
    return json.loads(Path(__file__).with_name('weights.json').read_text(encoding='utf-8'))


def find_row(name: str) -> dict[str, Any]:
    """Return what the table knows of a checkpoint that is no local file.

    Returns:
        dict: The row of the table that has it, with its ``name``, and the ``sources`` in the order to try; the sources
        alone where no row has it.

    Raises:
        InputError: If there is no such name.
    """
    scheme, _, rest = name.partition('://')
    table = known_weights()
    if scheme in ('mmcentermask', 'timm') and rest in table:
        return {**table[rest], 'name': rest}
    if scheme == 'mmcentermask':
        raise InputError(f'there are no weights {name}{nearest_row(name)}: see `convert_checkpoint.py --list`.')
    if scheme == 'timm':
        return dict(sources=[f'hf://timm/{rest}/model.safetensors'])
    # `open-mmlab://NAME` ends here too, and so does what configs of mmdet inherit
    moved = [name.replace(old, new) for old, new in _MOVED.items() if name.startswith(old)]
    names = {_address(source): source for source in (*moved, name)}
    for row, entry in table.items():
        known = {_address(source): source for source in entry['sources']}
        if known.keys() & names.keys():
            # the given one first, with the table's checksum if it brings none
            given = {key: source if '#' in source else known.get(key, source) for key, source in names.items()}
            return {**entry, 'name': row, 'sources': list((given | known | given).values())}
    return dict(sources=list(names.values()))


def _address(source: str) -> str:
    return source.partition('#')[0]


def nearest_row(name: str) -> str:
    """Return a hint with the name most like one that is not there, '' if none is."""
    scheme, _, rest = name.partition('://')
    known = [row for row, entry in known_weights().items() if scheme != 'timm' or 'hf://timm/' in entry['sources'][0]]
    hint = did_you_mean(rest, known, cutoff=0.5, prefix=f'{scheme}://')
    return f', {hint}' if hint else ''


def split_hub_source(source: str) -> tuple[str, str, str | None]:
    """Split ``hf://OWNER/REPO/FILE[@REVISION]`` into repository, file and revision, or raise InputError."""
    match = re.fullmatch(r'hf://([\w.-]+/[\w.-]+)/([^@]+)(?:@(.+))?', source)
    if not match:
        raise InputError(f'{source} names no file: write hf://OWNER/REPO/FILE or hf://OWNER/REPO/FILE@REVISION.')
    return match.groups()
