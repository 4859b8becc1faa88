"""Builds a config's model once, to find out what cannot work before a run writes anything."""

import copy

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmcentermask.models import TrimmedMobileNetV2, VoVNet
from mmcentermask.models.untrained_norms import check_frozen_norms

from ..config_errors import named_building_errors
from ..errors import InputError
from .checkpoint_check import check_resumable, check_same_model, check_start, read_checkpoint

__all__ = ['build_model', 'check_model_for_testing', 'check_model_for_training']

_WEIGHTS_HINT = (
    'init_cfg of the config names it; give ImageNet weights of VoVNet, as timm://ese_vovnet39b.ra_in1k or another that '
    '`python tools/convert_checkpoint.py --list` names, or train from scratch as '
    'configs/centermask/*_scratch_coco.py do'
)


def build_model(cfg: Config) -> nn.Module:
    """Build the model.

    Args:
        cfg (Config): The whole config.

    Returns:
        nn.Module: The model, not initialized.

    Raises:
        ConfigError: If it cannot be built: a name is misspelt, say, or there is no such VoVNet variant.
    """
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    with named_building_errors(cfg.model):
        return MODELS.build(copy.deepcopy(cfg.model))


def _pretrained(init_cfg) -> dict | None:
    is_pretrained = isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained' and 'checkpoint' in init_cfg
    return init_cfg if is_pretrained else None


def check_model_for_training(cfg: Config) -> None:
    """Check that the model can be built and that the weights it shall begin with are its own.

    Args:
        cfg (Config): The whole config.

    Raises:
        InputError: If it cannot be built, a checkpoint is missing or of another model, or frozen batch norms would
            train without weights.
    """
    model = build_model(cfg)
    backbone = getattr(model, 'backbone', None)
    init_cfg = _pretrained(cfg.model.get('init_cfg')) or _pretrained(cfg.model.get('backbone', {}).get('init_cfg'))
    if cfg.get('load_from'):
        checkpoint = read_checkpoint(cfg.load_from)
        if cfg.get('resume'):
            check_resumable(checkpoint, cfg.load_from)
            check_same_model(model, checkpoint, cfg.load_from)
        else:
            check_start(model, checkpoint, cfg.load_from)
    elif init_cfg is not None:
        part = model if _pretrained(cfg.model.get('init_cfg')) else backbone
        checkpoint = read_checkpoint(init_cfg['checkpoint'], _WEIGHTS_HINT)
        check_start(part, checkpoint, init_cfg['checkpoint'], init_cfg.get('prefix', ''))
    elif init_cfg is None and isinstance(backbone, (VoVNet, TrimmedMobileNetV2)):
        try:
            check_frozen_norms(backbone)
        except RuntimeError as error:
            raise InputError(str(error)) from error


def check_model_for_testing(cfg: Config) -> None:
    """Check that the model can be built and that ``cfg.load_from`` holds its weights.

    Args:
        cfg (Config): The whole config.

    Raises:
        InputError: If it cannot be built, or the checkpoint is missing or of another model.
    """
    model = build_model(cfg)
    check_same_model(model, read_checkpoint(cfg.load_from), cfg.load_from)
