"""Settings from which others follow: the data folder, the classes, the length of a run.

A config file is read before ``--cfg-options`` are merged, and a base before the file that inherits it. So what a file
computes from ``max_iters``, say, does not follow an override: these functions change all of it.
"""

import ast
import contextlib
import inspect
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mmengine import list_from_file
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner

from ..config_errors import parameters, part_of
from ..datasets.config_datasets import leaves
from ..errors import InputError, did_you_mean

__all__ = ['limit_intervals', 'merge_options', 'set_from_file', 'set_max_iters']

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
# what mmengine, mmdet and this package read of a config beside the arguments of the Runner
_READ = (
    *('runner_type', 'model_wrapper_cfg', 'find_unused_parameters', 'sync_bn', 'compile'),
    *('activation_checkpointing', 'efficient_conv_bn_eval', 'tta_model', 'tta_pipeline'),
)


def merge_options(cfg: Config, options: dict[str, Any]) -> None:
    """Apply ``--cfg-options``, dotted name -> value, to a config in place.

    ``data_root``, ``classes`` and ``max_iters`` come first, so that others may override parts.

    Raises:
        InputError: If a value cannot be used, or an option is read by nothing.
    """
    _check_names(cfg, options)
    for name, setter in _SETTERS.items():
        if name in options:
            setter(cfg, options[name])
    options = {name: value for name, value in options.items() if name not in _SETTERS}
    for name in options:
        _check_option(cfg, name, options)
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, AssertionError) as error:
        reason = re.split(r' \[| You may| `', str(error.args[0]))[0].rstrip('.')
        raise InputError(f'--cfg-options does not fit the config: {reason}.') from error


def _check_option(cfg: Config, name: str, options: dict[str, Any]) -> None:
    """Check that an option's place in the config, made where it is None, takes its last key, and a number no text."""
    steps, place, section = name.split('.'), cfg, ''
    for i, key in enumerate(steps):  # down to the last key, or the first that is not there
        section = '.'.join(steps[:i])
        if i == len(steps) - 1 or (isinstance(place, dict) and key not in place):
            break
        if isinstance(place, dict) and place[key] is None and not steps[i + 1].isdigit():
            place[key] = {}  # as of init_cfg=None, into which mmengine puts nothing
        is_index = isinstance(place, list) and key.isdigit() and int(key) < len(place)
        place = place[int(key)] if is_index else place.get(key) if hasattr(place, 'get') else None
    if not isinstance(place, dict) or key in ('type', '_delete_', '_scope_') or f'{section}._delete_' in options:
        return
    old = place.get(key) if key == steps[-1] else None
    if isinstance(old, (int, float)) and not isinstance(old, bool) and isinstance(options[name], str):
        raise InputError(f'--cfg-options {name} is {options[name]!r}, where the config has {old}: give a number.')
    part = part_of(options.get(f'{section}.type', place.get('type')))
    taken = parameters(part) if part is not None else {}
    if part is OptimWrapper:  # which --amp makes an AmpOptimWrapper
        taken = {**parameters(AmpOptimWrapper), **taken}
    if key in place or key in taken:
        return
    # whatever reads a dict without a type may know more keys; of the model's, few are alike
    known = {*place, *taken} if part is not None or name.startswith('model.') else ()
    hint = did_you_mean(key, known, cutoff=0.7)
    if hint or (part is not None and not any(p.kind is p.VAR_KEYWORD for p in taken.values())):
        owner = part.__name__ if part is not None else section
        hint = hint or f'it takes {", ".join(taken)}.'
        raise InputError(f'--cfg-options {name}: {owner} has no {key}; {hint}')


def set_from_file(cfg: Config, path: str) -> None:
    """Let what a base computed follow ``data_root``, ``classes`` and ``max_iters`` of a file that inherits it.

    A file that sets loaders, the length in ``train_cfg`` or ``param_scheduler`` itself is taken at its word. A name
    that neither the run nor the file reads, since it is misspelt, say, or only a base made something of it, is warned
    of.

    Raises:
        InputError: If a value cannot be used.
    """
    if not path.endswith('.py'):
        return
    tree = ast.parse(Path(path).read_text(encoding='utf-8'))
    files = _assigned(tree, Path(path).parent)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    used.add('custom_imports')  # by mmengine, as it reads the file
    for name in sorted(files[0].keys() - used - _read_names()) if 'runner_type' not in cfg else ():
        if not name.startswith('_'):
            hint = did_you_mean(name, _read_names() - {'tta_pipeline'})  # which is like train_pipeline
            hint = hint or 'set what a base made of it, such as train_dataloader.dataset.'
            print(f'warning: the config {path} sets {name}, which nothing reads; {hint}', file=sys.stderr)
    old = next(leaves(cfg.train_dataloader.dataset)).get('data_root') if cfg.get('train_dataloader') else None
    if old and old != cfg.get('data_root') and _left_to_base(files, 'data_root', r'\w+_dataloader'):
        new, cfg.data_root = cfg.data_root, old
        set_data_root(cfg, new)
    if _left_to_base(files, 'classes', r'\w+_dataloader'):
        set_classes(cfg, cfg.classes)
    if _left_to_base(files, 'max_iters', 'train_cfg = .*max_(iters|epochs)'):
        set_max_iters(cfg, cfg.max_iters, schedule=_left_to_base(files, 'max_iters', 'param_scheduler'))


def _assigned(tree: ast.Module, folder: Path) -> list[dict[str, str]]:
    """Return name -> expression of what a config file assigns, and of what each file that it inherits does."""
    assigned = [(target, line.value) for line in tree.body if isinstance(line, ast.Assign) for target in line.targets]
    files = [{target.id: ast.unparse(value) for target, value in assigned if isinstance(target, ast.Name)}]
    with contextlib.suppress(ValueError):  # an expression, as of the configs that make_config.py writes
        bases = ast.literal_eval(files[0].get('_base_', '[]'))
        for base in [bases] if isinstance(bases, str) else bases:
            file = folder / base
            if file.suffix == '.py' and file.is_file():
                files += _assigned(ast.parse(file.read_text(encoding='utf-8')), file.parent)
    return files


def _left_to_base(files: list[dict[str, str]], name: str, part: str) -> bool:
    """Whether the nearest file with a name, and those that inherit it, leave to its base what follows from it."""
    for file in files:
        if any(re.match(part, f'{key} = {value}') for key, value in file.items()):
            return False
        if name in file:
            return '_base_' in file
    return False


def _read_names() -> set[str]:
    """The top-level names of a config that a run reads."""
    return {*_SETTERS, *_READ, *inspect.signature(Runner.__init__).parameters} - {'self', 'cfg'}


def _check_names(cfg: Config, names: Iterable[str]) -> None:
    """Check that the Runner or one of ours reads the first part of each option, or tell the nearest name."""
    read = _read_names()
    for name in () if 'runner_type' in cfg else dict.fromkeys(name.split('.')[0] for name in names):
        if name in read:
            continue
        inner = [f'{section}.{name}' for section, value in cfg.items() if isinstance(value, dict) and name in value]
        if name in cfg and not inner:
            raise InputError(
                f'--cfg-options {name}: it was used while the config file was read, and nothing reads it now: '
                'override what was made of it, such as train_dataloader.dataset.'
            )
        hint = f'did you mean {inner[0]}?' if inner else did_you_mean(name, read)
        hint = hint or 'it takes names of the config, as model.num_classes.'
        raise InputError(f'--cfg-options {name}: nothing reads this name; {hint}')


def set_data_root(cfg: Config, folder: Any) -> None:
    """Put a folder in the place of ``cfg.data_root`` in every data set and evaluator.

    Raises:
        InputError: If the config has no ``data_root``.
    """
    folder = str(folder)
    old = cfg.get('data_root')
    if not isinstance(old, str) or not old.strip('/'):
        raise InputError(
            f'data_root={folder} cannot be set, because the config has no data_root: '
            'set train_dataloader.dataset.data_root and its like.'
        )
    for place in (*_LOADERS, 'val_evaluator', 'test_evaluator'):
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


def set_classes(cfg: Config, classes: str | Sequence[str]) -> None:
    """Set the classes of every dataset: names, one name, or a text file with one a line; and their number in the model.

    Raises:
        InputError: If there is no class, or the model is not a CenterMask, whose ``num_classes`` reaches every head.
    """
    if isinstance(classes, str):
        classes = list_from_file(classes) if Path(classes).is_file() else [classes]
    classes = tuple(map(str, classes))
    if not classes:
        raise InputError('classes names no class: give the names of the annotation file, such as classes="[cat,dog]".')
    if 'num_classes' not in cfg.model:
        raise InputError(
            f'classes cannot be set for {cfg.model.type}: set metainfo of the datasets, and num_classes of each head.'
        )
    for loader in _LOADERS:
        for dataset in leaves(cfg[loader].dataset) if cfg.get(loader) else ():
            metainfo = dict(dataset.get('metainfo') or {}, classes=classes)
            if len(metainfo.get('palette') or classes) != len(classes):
                del metainfo['palette']
            dataset['metainfo'] = metainfo
    cfg.classes = classes
    cfg.model.num_classes = len(classes)


def set_max_iters(cfg: Config, max_iters: int, schedule: bool = True) -> None:
    """Change the length of a run in iterations, and, but without ``schedule``, its schedule in proportion.

    Raises:
        InputError: If it is no number of iterations, or the config counts in epochs.
    """
    if not isinstance(max_iters, int) or max_iters < 1:
        raise InputError(f'max_iters is {max_iters!r}: give a whole number of iterations, 1 or more.')
    if 'max_iters' not in (cfg.get('train_cfg') or {}):
        raise InputError('max_iters cannot be set, as the config counts in epochs: set train_cfg.max_epochs.')
    factor = max_iters / cfg.train_cfg.max_iters
    schedulers = (schedule and cfg.get('param_scheduler')) or []
    for scheduler in [schedulers] if isinstance(schedulers, dict) else schedulers:
        for key in ('begin', 'end', 'T_max'):
            if scheduler.get(key) is not None:
                scheduler[key] = round(scheduler[key] * factor)
        if 'milestones' in scheduler:
            scheduler['milestones'] = [round(step * factor) for step in scheduler['milestones']]
    if schedulers and isinstance(schedulers, list):
        # of few iterations none may be left for a warm-up; one of a single iteration would keep its low rate for good
        ends = [max_iters + 1 if s.get('end') is None else s['end'] for s in schedulers]
        cfg.param_scheduler = [s for s, end in zip(schedulers, ends) if s.get('begin', 0) + 1 < end]
    cfg.train_cfg.max_iters = max_iters
    if 'max_iters' in cfg:
        cfg.max_iters = max_iters


_SETTERS = dict(data_root=set_data_root, classes=set_classes, max_iters=set_max_iters)


def limit_intervals(cfg: Config) -> None:
    """Let a short run be validated, saved and printed too: no interval is longer than the run.

    Schedulers that would begin after its last iteration, which mmengine refuses, are left out.

    Raises:
        InputError: If validation has no interval.
    """
    train_cfg, hooks = cfg.get('train_cfg') or {}, cfg.get('default_hooks') or {}
    length = train_cfg.get('max_iters')
    if not isinstance(length, int):
        return
    logger, checkpoint = hooks.get('logger') or {}, hooks.get('checkpoint') or {}
    if isinstance(train_cfg.get('val_interval'), int) and train_cfg['val_interval'] < 1:
        raise InputError(
            f'train_cfg.val_interval is {train_cfg["val_interval"]}: give a number of iterations, 1 or more.'
        )
    in_iterations = [(train_cfg, 'val_interval'), (logger, 'interval')]
    if not checkpoint.get('by_epoch', True):
        in_iterations.append((checkpoint, 'interval'))
    for part, key in in_iterations:
        if isinstance(part.get(key), int) and part[key] > length:
            part[key] = length
    if isinstance(cfg.get('param_scheduler'), list):
        cfg.param_scheduler = [s for s in cfg.param_scheduler if s.get('by_epoch', True) or s.get('begin', 0) < length]
