"""Reads the config of a run and applies the options of the command line."""

import argparse
import contextlib
import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict, DictAction
from mmengine.device import get_device
from mmengine.dist import get_rank
from mmengine.runner import find_latest_checkpoint

from ..datasets.config_datasets import leaves
from ..errors import ConfigError, InputError, MissingFileError
from ..model_index import find_config, is_model
from .config_options import limit_intervals, merge_options, set_from_file
from .run_check import build_model

__all__ = [
    'load_config',
    'named_missing_packages',
    'read_model_config',
    'read_options',
    'set_auto_scale_lr',
    'set_resume',
    'use_amp',
    'use_tta',
]


@contextlib.contextmanager
def named_missing_packages(what: str) -> Iterator[None]:
    """Turn the failed import of a package into an InputError that says ``what`` needs it: ``'the config a.py'``."""
    try:
        yield
    except ImportError as error:
        cause = error
        while getattr(cause, 'name', None) is None and cause is not None:
            cause = cause.__cause__ or cause.__context__  # mmengine's own error has no name
        name = cause.name.split('.')[0] if cause is not None else str(error)
        raise InputError(f'{what} needs the package {name}, which cannot be imported: pip install {name}.') from error


def read_options(options: dict[str, Any] | list[str] | None) -> dict[str, Any]:
    """Return dotted name -> value, of such a dict or of the words after ``--cfg-options``, read as mmengine does.

    Raises:
        InputError: If a word has no ``=``.
    """
    if not options or isinstance(options, dict):
        return dict(options or {})
    for text in options:
        if '=' not in text:
            raise InputError(f'--cfg-options has {text!r}: give KEY=VALUE, as in model.num_classes=1.')
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args(['--cfg-options', *options]).cfg_options


def load_config(path: str, options: dict[str, Any] | list[str] | None = None, work_dir: str | None = None) -> Config:
    """Read a config file and override parts of it.

    Args:
        path (str): A config file, or the name of a model, as ``list_models`` gives it.
        options (dict | list[str], optional): Dotted name -> value, or the words after ``--cfg-options``. Three reach
            all that follows from them, unless another option sets it: ``data_root`` every dataset and evaluator,
            ``classes`` every dataset and the model, ``max_iters`` the schedule. So do the three of a file that inherits
            a base. Defaults to None.
        work_dir (str, optional): Where the run writes. Defaults to the config's, or else
            ``work_dirs/NAME_OF_THE_CONFIG``.

    Returns:
        Config: The whole config.

    Raises:
        MissingFileError: If there is no such config.
        ConfigError: If the file cannot be read, or needs a package that is not installed.
        InputError: If one of the three cannot be used with this config, nothing reads an option, or one has no ``=``.
    """
    path = find_config(path)
    options = read_options(options)
    if os.environ.get('MMDET_DATASETS') == '':
        del os.environ['MMDET_DATASETS']  # as unset, for which configs have a default; mmengine asks for a value
    try:
        with named_missing_packages(f'the config {path}'):
            cfg = Config.fromfile(path)
    except InputError:
        raise
    except Exception as error:  # a config file is a program: whatever it raises is the user's to fix
        raise ConfigError(
            f'the config {path} cannot be read ({type(error).__name__}: {error}): fix it, or the base it names; '
            'those in configs/centermask/ can be read.'
        ) from error
    if not isinstance(cfg.get('model'), dict):
        raise ConfigError(f'the config {path} has no model: give one that inherits a file of configs/centermask/.')
    set_from_file(cfg, path)
    merge_options(cfg, options)
    limit_intervals(cfg)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name) and cfg[name].get('num_workers') == 0:
            cfg[name].persistent_workers = False  # torch refuses to keep workers that are not there
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(path).stem)
    return cfg


def read_model_config(
    model: str | dict | Config | None, options: dict[str, Any] | list[str] | None = None
) -> str | dict | Config | None:
    """Read the config of a model where it is a file or the name of one of ours, and override parts of it.

    Options are those of ``load_config``. The model is returned as it was given where it is neither, as the name of a
    model of mmdet, and there are none.

    Raises:
        InputError: As ``load_config``, or if there are options and no config.
    """
    is_file = isinstance(model, str) and (os.path.exists(model) or model.endswith(('.py', '.json', '.yaml', '.yml')))
    if is_file or (isinstance(model, str) and is_model(model)):
        return load_config(model, options)
    if not options:
        return model
    if not isinstance(model, (dict, Config)):
        raise InputError(f'cfg_options need a config, but the model is {model!r}: give a file or a Config.')
    model = copy.deepcopy(model) if isinstance(model, Config) else Config(copy.deepcopy(model))
    merge_options(model, read_options(options))
    return model


def use_amp(cfg: Config) -> None:
    """Train in mixed precision; the config is changed in place.

    ``optim_wrapper.dtype`` of the config says in which type: ``'float16'``, the default on a GPU, or ``'bfloat16'``.

    Raises:
        InputError: If there is no accelerator: on a CPU the ops of mmcv run in full precision only. If the type is
            neither of the two, or the backbone has deformable convolutions, which mmcv has not in bfloat16.
    """
    if get_device() == 'cpu':
        raise InputError('--amp needs an accelerator, and there is none here: leave --amp out.')
    dtype = cfg.optim_wrapper.get('dtype')
    if dtype not in (None, 'float16', 'bfloat16'):
        raise InputError(f'--amp has no precision {dtype!r}: set optim_wrapper.dtype to float16 or bfloat16.')
    if dtype == 'bfloat16' and (cfg.model.get('backbone') or {}).get('dcn'):
        raise InputError(
            "--amp cannot use bfloat16 with this backbone, as mmcv's deformable convolutions do not know it: "
            'set optim_wrapper.dtype=float16.'
        )
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def set_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate by the linear rule, from the config's batch size to the run's; the config is changed.

    With ``optim_wrapper.accumulative_counts`` a step sees the images of that many iterations, which mmengine leaves
    out of its count.

    Raises:
        InputError: If the config does not say for which batch size its learning rate is.
    """
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise InputError(
            '--auto-scale-lr needs to know for how many images the learning rate is: '
            'write auto_scale_lr=dict(base_batch_size=16), say, into the config.'
        )
    cfg.auto_scale_lr.enable = True
    cfg.auto_scale_lr.base_batch_size /= cfg.optim_wrapper.get('accumulative_counts', 1)


def set_resume(cfg: Config, resume: str | None) -> None:
    """Go on with an earlier run.

    Args:
        cfg (Config): The config, changed in place.
        resume (str, optional): A checkpoint, ``'auto'`` for the latest one in ``work_dir`` (where there is none,
            training begins, with the weights of ``load_from`` if the config names some), or None to leave the config
            as it is.

    Raises:
        MissingFileError: If the latest one is not there any more.
    """
    if resume is None:
        return
    if resume == 'auto' and not Path(cfg.work_dir, 'last_checkpoint').is_file():
        cfg.resume = cfg.get('load_from') is None
        return
    cfg.resume, cfg.load_from = True, find_latest_checkpoint(cfg.work_dir) if resume == 'auto' else resume
    if resume == 'auto' and not Path(cfg.load_from).is_file():
        raise MissingFileError(
            f'{cfg.work_dir}/last_checkpoint names {cfg.load_from!r}, which is no file: name the checkpoint to go '
            'on from, --resume FILE, or delete last_checkpoint to begin anew.'
        )


def use_tta(cfg: Config, recipe: str | Path) -> None:
    """Test in several views of each image: ``tta_model`` around the model, ``tta_pipeline`` in every test data set.

    The config is changed in place. What it lacks of the two is taken from the config file ``recipe``, and a sentence
    says so.

    Raises:
        InputError: If ``tta_pipeline`` makes no views, or ``tta_model`` does not fit the model.
    """
    missing = [name for name in ('tta_model', 'tta_pipeline') if cfg.get(name) is None]
    if missing:
        default = Config.fromfile(recipe)
        for name in missing:
            cfg[name] = default[name]
        if get_rank() == 0:
            print(f'The config has no {" and no ".join(missing)}: taken from _base_/{Path(recipe).name}.', flush=True)
    if not any('TestTimeAug' in str(transform['type']) for transform in cfg.tta_pipeline):
        raise InputError(
            'tta_pipeline makes no views of an image: put the resizing, the flipping and the packing '
            "into dict(type='TestTimeAug', transforms=[[...], [...], [...]]), as _base_/tta.py does."
        )
    for dataset in leaves(cfg.test_dataloader.dataset):
        dataset['pipeline'] = copy.deepcopy(cfg.tta_pipeline)
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    build_model(cfg)  # says what does not fit
