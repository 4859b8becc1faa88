"""Finds out before a run writes anything what cannot work: its device, its model and weights, its loop, its log."""

from __future__ import annotations

import copy
from importlib.util import find_spec

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from ..atomic_write import check_writable
from ..config_errors import named_building_errors
from ..errors import InputError
from ..models import TrimmedMobileNetV2, VoVNet
from ..models.untrained_norms import check_frozen_norms
from .checkpoint_check import check_resumable, check_same_model, check_start, read_checkpoint

__all__ = [
    'build_model',
    'check_device',
    'check_model_for_testing',
    'check_model_for_training',
    'check_prediction_options',
    'check_run',
]

# visualization backends that import the package of their name, in small letters, when they first write
_BACKENDS = ('Tensorboard', 'Wandb', 'MLflow', 'ClearML', 'Neptune', 'DVCLive', 'Aim')
_WEIGHTS_HINT = (
    'init_cfg of the config names it; give ImageNet weights of VoVNet, as timm://ese_vovnet39b.ra_in1k or another that '
    '`python tools/convert_checkpoint.py --list` names, or train from scratch as '
    'configs/centermask/*_scratch_coco.py do'
)


def check_device(device: str | torch.device | None) -> None:
    """Check that a device, ``'cpu'`` or ``'cuda:0'``, say, is there; None is right.

    Raises:
        InputError: If there is no such device here.
    """
    if device is None:
        return
    try:
        kind, index = torch.device(device).type, torch.device(device).index
    except (RuntimeError, TypeError) as error:
        raise InputError(f'there is no kind of device {str(device)!r}: give cpu, cuda or cuda:0, say.') from error
    if kind == 'cuda':
        number = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not number:
            raise InputError(f'there is no device {device} here, as torch finds no GPU: give cpu.')
        if index is not None and index >= number:
            raise InputError(f'there is no device {device} here: the last of {number} is cuda:{number - 1}.')
        return
    try:
        torch.zeros(1, device=device).cpu()  # on meta, nothing can be computed
    except (RuntimeError, NotImplementedError, AssertionError) as error:  # each kind has its own
        raise InputError(f'there is no device {device} here: give cpu.') from error


def check_prediction_options(batch_size: int, pred_score_thr: float, out_dir: str = '') -> None:
    """Check the options of a prediction, before anything that takes time.

    Args:
        batch_size (int): Images at a time.
        pred_score_thr (float): Least score to draw.
        out_dir (str): Folder to write to; '' writes nothing. Defaults to ''.

    Raises:
        InputError: If one is out of range, or the folder cannot be written to.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f'--batch-size is {batch_size}: give a whole number of 1 or more.')
    if not 0 <= pred_score_thr <= 1:
        raise InputError(f'--pred-score-thr is {pred_score_thr}: give a score from 0 to 1.')
    if out_dir:
        check_writable(out_dir)


def check_run(cfg: Config) -> None:
    """Check the loop and the log of a training run.

    Raises:
        InputError: If the loop counts epochs of a sampler without an end, or the package of a visualization backend is
            not installed.
    """
    train_cfg = cfg.get('train_cfg') or {}
    sampler = (cfg.get('train_dataloader') or {}).get('sampler') or {}
    if 'max_epochs' in train_cfg and 'Infinite' in str(sampler.get('type')):
        raise InputError(
            f'train_cfg counts epochs, and train_dataloader.sampler is an {sampler["type"]}, whose epoch has no end: '
            "set train_dataloader.sampler.type to 'DefaultSampler', or train by iterations (IterBasedTrainLoop)."
        )
    for backend in (cfg.get('visualizer') or {}).get('vis_backends') or ():
        name = str(backend['type']).split('.')[-1].removesuffix('VisBackend')
        if name in _BACKENDS and find_spec(name.lower()) is None:
            raise InputError(
                f'{backend["type"]} needs the package {name.lower()}, which is not installed: '
                f'pip install {name.lower()}, or leave it out of visualizer.vis_backends.'
            )


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a whole config, not initialized.

    Raises:
        ConfigError: If it cannot be built: a name is misspelt, say, or there is no such VoVNet variant.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    with named_building_errors(cfg.model):
        return MODELS.build(copy.deepcopy(cfg.model))


def check_model_for_training(cfg: Config) -> None:
    """Check that the model can be built and that the weights it shall begin with are its own.

    Raises:
        InputError: If it cannot be built, a checkpoint is missing or of another model, or frozen batch norms would
            train without weights.
    """
    model = build_model(cfg)
    backbone = getattr(model, 'backbone', None)
    if cfg.get('load_from'):
        checkpoint = read_checkpoint(cfg.load_from)
        if cfg.get('resume'):
            check_resumable(checkpoint, cfg.load_from)
            check_same_model(model, checkpoint, cfg.load_from)
        else:
            check_start(model, checkpoint, cfg.load_from)
        return
    for part, section in ((model, cfg.model), (backbone, cfg.model.get('backbone') or {})):
        init_cfg = section.get('init_cfg')
        if isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained' and 'checkpoint' in init_cfg:
            checkpoint = read_checkpoint(init_cfg['checkpoint'], _WEIGHTS_HINT)
            check_start(part, checkpoint, init_cfg['checkpoint'], init_cfg.get('prefix'))
            return
    if isinstance(backbone, (VoVNet, TrimmedMobileNetV2)):
        try:
            check_frozen_norms(backbone)
        except RuntimeError as error:
            raise InputError(str(error)) from error


def check_model_for_testing(cfg: Config) -> None:
    """Check that the model can be built and that ``cfg.load_from`` holds its weights.

    Raises:
        InputError: If it cannot be built, or the checkpoint is missing or of another model.
    """
    check_same_model(build_model(cfg), read_checkpoint(cfg.load_from), cfg.load_from)
