"""Models with random weights that find as much as trained ones, for timing."""

import logging

import torch
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmcentermask.models import CenterMaskHead

__all__ = ['build_untrained', 'drop_pretrained', 'leave_best_boxes']


def drop_pretrained(cfg) -> None:
    """Take weights to load out of the config of a model, so that nothing is fetched; changed in place."""
    if isinstance(cfg, dict):
        if isinstance(cfg.get('init_cfg'), dict) and cfg['init_cfg'].get('type') == 'Pretrained':
            cfg['init_cfg'] = None
        for value in cfg.values():
            drop_pretrained(value)
    elif isinstance(cfg, (list, tuple)):
        for value in cfg:
            drop_pretrained(value)


def build_untrained(cfg: Config, seed: int = 0) -> nn.Module:
    """Build the model of a config with random weights.

    A CenterMaskHead gets a bias in its distances, for boxes about 8 strides wide in the place of empty ones; batch
    norms get statistics that do not look untrained, or frozen ones would refuse to be trained.

    Args:
        cfg (Config): With ``model``; not changed.
        seed (int): Of the weights. Defaults to 0.

    Returns:
        nn.Module: In evaluation mode.
    """
    model_cfg = cfg.copy().model
    drop_pretrained(model_cfg)
    torch.manual_seed(seed)
    model = MODELS.build(model_cfg)
    level = logging.root.manager.disable
    logging.disable(logging.INFO)  # a paragraph on each parameter
    try:
        model.init_weights()
    finally:
        logging.disable(level)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.fill_(1e-6)
        elif isinstance(module, CenterMaskHead):
            # in strides, or the logarithm of pixels
            nn.init.constant_(module.conv_reg.bias, 4.0)
    return model.eval()


def leave_best_boxes(model: nn.Module, data: dict) -> int:
    """Set the score threshold of a model so that its best boxes on an image are left, as many as it may find.

    Args:
        model (nn.Module): In evaluation mode; its settings for testing are changed.
        data (dict): As ``test_step`` takes it, one image.

    Returns:
        int: Number of boxes left.
    """
    box_cfg = _box_settings(model)
    if box_cfg is None:  # a detector that has no such threshold
        with torch.no_grad():
            return len(model.test_step(data)[0].pred_instances)
    box_cfg.score_thr = 0.0
    with torch.no_grad():
        scores = model.test_step(data)[0].pred_instances.scores
    if len(scores) > 0:
        least = scores.min().item()
        power = getattr(getattr(model, 'bbox_head', None), 'score_power', 1.0)
        # the threshold is for the probability of the class, which is not below its product with the centerness
        box_cfg.score_thr = least ** (1 / power) * (1 - 1e-5)
    return len(scores)


def _box_settings(model: nn.Module) -> ConfigDict | None:
    """Return the settings that a model filters its boxes by: of its second stage, where it has one; or None."""
    head = getattr(model, 'roi_head', None)
    if head is not None and getattr(head, 'with_bbox', False):
        return head.test_cfg
    settings = getattr(getattr(model, 'bbox_head', None), 'test_cfg', None)
    return settings if settings is not None and 'score_thr' in settings else None
