"""Names of the models of this package, which stand for their config files."""

import fnmatch
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.fileio import load
from mmengine.infer import BaseInferencer

from .errors import MissingFileError, did_you_mean

__all__ = [
    'add_models_to_mmdet',
    'find_config',
    'find_starts',
    'find_weights',
    'is_model',
    'list_models',
    'nearest_models',
]


def _root() -> Path:
    """Return the folder with configs/ and model-index.yml: the checkout, or ``.mim`` of the installed package."""
    package = Path(__file__).resolve().parent
    checkout = package.parent
    return checkout if (checkout / 'configs' / 'centermask').is_dir() else package / '.mim'


def _config_files() -> dict[str, Path]:
    """Return name -> config file, of every folder but the bases."""
    return {path.stem: path for path in sorted(_root().glob('configs/[!_]*/*.py'))}


def _config_of(name: str) -> Path | None:
    """Return the config file of a name, ours or the one that the authors gave to their model."""
    aliases = {alias.lower(): Path(entry['Config']) for entry in _models() for alias in entry.get('Alias', [])}
    return {**aliases, **_config_files()}.get(name.lower())


def is_model(name: str) -> bool:
    """Tell whether ``find_config`` takes it as a name."""
    return _config_of(name) is not None


def list_models(pattern: str = '') -> list[str]:
    """List the names that tools, inferencers and ``find_config`` take in the place of a config file.

    Args:
        pattern (str): Part of the name, or a pattern with ``*`` and ``?`` for all of it. Defaults to '', all models.

    Returns:
        list[str]: Names, sorted.

    >>> list_models('v57-ese-dcn')
    ['centermask-v1_v57-ese-dcn_fpn_1x_coco', 'centermask_v57-ese-dcn_fpn_ms-3x_coco']
    """
    whole = pattern if set(pattern) & set('*?[') else f'*{pattern}*'
    return sorted(name for name in _config_files() if fnmatch.fnmatch(name, whole.lower()))


def nearest_models(name: str) -> str:
    """Return a hint with the names most like ``name``, or with how to list them.

    >>> nearest_models('centermask_v39_fpn_ms-3x_coco')  # doctest: +SKIP
    'did you mean centermask_v39-ese_fpn_ms-3x_coco?'
    """
    hint = did_you_mean(Path(name).name.removesuffix('.py').lower(), _config_files(), number=3)
    return hint or 'mmcentermask.list_models() lists all names.'


def find_config(model: str) -> str:
    """Return the path of the config file of a model.

    Args:
        model (str): Path of a config file, the name of a model, as ``list_models`` gives it, or that of its authors,
            as ``centermask2-V-39-eSE-FPN-ms-3x``.

    Raises:
        MissingFileError: If there is neither such a file nor such a model.
    """
    if Path(model).is_file():
        return model
    found = _config_of(model)
    if found is None:
        raise MissingFileError(
            f'there is no config {model}, neither a file nor the name of a model: {nearest_models(model)}'
        )
    return str(found)


def find_weights(model: str) -> str:
    """Return where the published weights of a model are: the ``Weights`` of the metafile, a path or URL.

    Args:
        model (str): A name that ``find_config`` takes.

    Raises:
        MissingFileError: If nobody has published any.
    """
    config = str(Path(find_config(model)).absolute())
    weights = next((entry['Weights'] for entry in _models() if entry['Config'] == config), None)
    if weights is None:
        raise MissingFileError(
            f'there are no published weights of {model}: give a checkpoint that was trained with it.'
        )
    return weights


def find_starts() -> dict[str, list[str]]:
    """Return the weights in our table of backbones: checkpoint -> names of the models that start from it.

    >>> find_starts()['timm://ese_vovnet57b.ra4_e3600_r256_in1k'][-1]
    'centermask_v57-ese_fpn_ms-3x_coco'
    """
    rows = Config.fromfile(_root() / 'configs' / '_base_' / 'models' / 'backbones.py').backbones
    starts = {}
    for name, path in _config_files().items():
        row = re.search(r"_base_\.pop\('backbones'\)\.(\w+)", path.read_text(encoding='utf-8'))
        if row and (init := rows[row[1]].backbone.get('init_cfg')):
            starts.setdefault(init.checkpoint, []).append(name)
    return starts


@functools.cache
def _models() -> list[dict[str, Any]]:
    """Return the entries of the metafile as mmengine reads them, with absolute paths and a place for weights."""
    root = _root()
    entries = load(str(root / 'configs' / 'centermask' / 'metafile.yml'))['Models']
    return [{**entry, 'Config': str(root / entry['Config']), 'Weights': entry.get('Weights')} for entry in entries]


def add_models_to_mmdet() -> None:
    """Add our models to those that mmdet's inferencer finds by name.

    mmengine asks the metafiles of one package, that of the inferencer's scope, and offers no way to add another.

    >>> DetInferencer('centermask_r50_fpn_1x_coco', 'work_dirs/NAME/epoch_12.pth')  # doctest: +SKIP
    """
    of_package = BaseInferencer._get_models_from_metafile

    def with_ours(folder: str) -> Iterator[dict[str, Any]]:
        yield from of_package(folder)
        if Path(folder, 'configs', 'mask_rcnn').is_dir():  # mmdet's
            yield from _models()

    BaseInferencer._get_models_from_metafile = staticmethod(with_ours)
