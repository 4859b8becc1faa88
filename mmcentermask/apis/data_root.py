"""Moves a config's data sets to another folder."""

from typing import Any

from mmengine.config import Config

from ..errors import InputError

__all__ = ['set_data_root']

_PLACES = ('train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator')


def set_data_root(cfg: Config, folder: str) -> None:
    """Put ``folder`` in the place of ``cfg.data_root`` in every data set and evaluator.

    A config's files are read before ``--cfg-options`` are merged, so overriding the top-level ``data_root``
    alone would change nothing.

    Args:
        cfg (Config): The config, changed in place.
        folder (str): The new folder.

    Raises:
        InputError: If the config has no ``data_root``.
    """
    old = cfg.get('data_root')
    if not isinstance(old, str) or not old.strip('/'):
        raise InputError(
            f'data_root={folder} cannot be set, because the config has no data_root: '
            'set train_dataloader.dataset.data_root and its like.'
        )
    for place in _PLACES:
        if cfg.get(place) is not None:
            cfg[place] = _moved(cfg[place], old.rstrip('/'), folder.rstrip('/') or '/')
    cfg.data_root = folder


def _moved(value: Any, old: str, new: str) -> Any:
    """Return ``value`` with every path at or below ``old`` moved; dicts are changed in place."""
    if isinstance(value, dict):
        for key in value:
            value[key] = _moved(value[key], old, new)
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(item, old, new) for item in value)
    if isinstance(value, str) and (value.rstrip('/') == old or value.startswith(old + '/')):
        return new + value[len(old) :]
    return value
