"""Tells in one sentence what keeps a config from being built, and what the classes that it names take."""

import contextlib
import inspect
import textwrap
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mmdet.registry
from mmengine.registry import Registry

from .errors import ConfigError, InputError, did_you_mean

__all__ = ['named_building_errors', 'parameters', 'part_of']


@contextlib.contextmanager
def named_building_errors(cfg: dict[str, Any]) -> Iterator[None]:
    """Turn any error but InputError of what is built inside into a ConfigError, whose cause it stays.

    ``cfg`` is what is built, and is searched for the misspelt name that the error may be of.

    >>> with named_building_errors(cfg.model):  # doctest: +SKIP
    ...     model = MODELS.build(cfg.model)
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise ConfigError(_sentence(cfg, error)) from error


def _sentence(cfg: dict[str, Any], error: Exception) -> str:
    message = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    for part in _parts(cfg):
        kind, found = part['type'], part_of(part['type'])
        if isinstance(error, KeyError) and found is None and str(kind) in message:
            hint = did_you_mean(kind, _registered())
            hint = hint or 'correct the name, or import what registers it (custom_imports).'
            return f'the config has the type {kind!r}, which is registered nowhere; {hint}'
        known = parameters(found) if isinstance(error, TypeError) and found is not None else part
        for key in part.keys() - known.keys() - {'type'}:
            if repr(key) in message:
                hint = did_you_mean(key, known) or f'it takes {", ".join(known)}.'
                return f'{found.__name__} of the config has no {key}; {hint}'
    reason = textwrap.shorten(message.strip().split('\n')[0].rstrip('.'), 200)
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f'{Path(place.filename).name}, line {place.lineno}'
    return f'the config cannot be built ({type(error).__name__}: {reason}; {where}): correct its settings.'


def _parts(cfg: Any) -> Iterator[dict[str, Any]]:
    """Yield the dicts of a config that have a type."""
    if isinstance(cfg, dict) and 'type' in cfg:
        yield cfg
    values = cfg.values() if hasattr(cfg, 'values') else cfg if isinstance(cfg, (list, tuple)) else ()
    for value in values:
        yield from _parts(value)


def part_of(kind: Any) -> Callable | None:
    """Return the class or function of a ``type``, a registered name or itself; None where it is unknown."""
    if not isinstance(kind, str):
        return kind if callable(kind) else None
    return _registered().get(kind.split('.')[-1])


def _registered() -> dict[str, Callable]:
    """Return what the registries of mmdet and their parents hold, by name."""
    found = {}
    for registry in vars(mmdet.registry).values():
        while isinstance(registry, Registry):
            found = {**registry.module_dict, **found}
            registry = registry.parent
    return found


def parameters(part: Callable) -> dict[str, inspect.Parameter]:
    """Return what a function or a class takes, its parents' parameters included where it passes ``**kwargs`` on.

    One parameter of the kind VAR_KEYWORD remains where the last parent takes anything, too.
    """
    found = {}
    for parent in inspect.getmro(part) if inspect.isclass(part) else [part]:
        if inspect.isclass(parent) and '__init__' not in vars(parent):
            continue
        own = inspect.signature(parent.__init__ if inspect.isclass(parent) else parent).parameters
        found = {**own, **{name: p for name, p in found.items() if p.kind is not p.VAR_KEYWORD}}
        found.pop('self', None)
        if not any(p.kind is p.VAR_KEYWORD for p in own.values()):
            break
    return found
