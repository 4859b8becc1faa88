"""Turns what mmengine raises while it builds a part of a config into one sentence."""

import inspect
import os
import re
import sysconfig
import textwrap
import traceback
from pathlib import Path
from types import FrameType

from mmengine.registry import Registry
from torch.utils.data import DataLoader

from ..errors import ConfigError, did_you_mean

__all__ = ['as_config_error', 'parameters', 'registered']

_INSTALLED = (*(sysconfig.get_paths()[key] for key in ('stdlib', 'purelib', 'platlib')), str(Path(__file__).parents[1]))


def as_config_error(error: Exception) -> ConfigError | None:
    """Return a sentence for an error that a setting of the config causes.

    Args:
        error (Exception): Any error of a run.

    Returns:
        ConfigError or None: None if nothing was being built, or the error is of a module of the user's own, who needs
        its traceback.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    building = [frame for frame in frames if _builds(frame)]
    if not building:
        return None
    file = frames[-1].f_code.co_filename
    if os.path.isfile(file) and not file.startswith(_INSTALLED):
        return None
    values = next((f.f_locals for f in reversed(building) if 'obj_type' in f.f_locals), {})
    part, name = values.get('obj_cls'), values.get('obj_type')
    if building[-1].f_code.co_name == 'build_dataloader':
        part = name = DataLoader
    if part is None and isinstance(name, str):
        registry = values['registry']
        hint = did_you_mean(name, registered(registry))
        hint = hint or 'correct the name, or import what registers it (custom_imports).'
        return ConfigError(f'the config has the type {name!r}, but there is no such {registry.name}; {hint}')
    message = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    reason = textwrap.shorten(message.strip().split('\n')[0].rstrip('.'), 200)
    unexpected = re.search(r"unexpected keyword argument '(\w+)'", message)
    hint = did_you_mean(unexpected[1], parameters(part)) if unexpected and part is not None else ''
    hint = f'; {hint}' if hint else ': correct its settings.'
    what = f'{part.__name__} of the config' if part is not None else 'the config'
    return ConfigError(f'{what} cannot be built ({type(error).__name__}: {reason}){hint}')


def _builds(frame: FrameType) -> bool:
    module, function = frame.f_globals.get('__name__', ''), frame.f_code.co_name
    return (
        module.startswith('mmengine.')
        and function.startswith('build_')
        or (module == 'mmengine.runner.runner' and function == '__init__')
    )


def parameters(part: type) -> dict[str, inspect.Parameter]:
    """Return what a class takes, its parents' parameters included where it passes ``**kwargs`` on.

    Args:
        part (type): A class, or a function.

    Returns:
        dict: Name -> parameter; one of the kind VAR_KEYWORD remains where the last parent takes anything, too.
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


def registered(registry: Registry | None) -> dict[str, type]:
    """Return what a registry and its parents hold, by name."""
    found = {}
    while registry is not None:
        found = {**registry.module_dict, **found}
        registry = registry.parent
    return found
