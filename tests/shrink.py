"""The model of any config, small enough to train inside of a test."""

import copy

import torch
from mmdet.registry import MODELS

NUM_CLASSES = 3
_WIDTH = 32
_WIDTHS = (
    *('in_channels', 'out_channels', 'feat_channels', 'conv_out_channels', 'fc_out_channels'),
    *('embed_dims', 'feedforward_channels'),
)
# key -> the largest number that is left
_MOST = dict(
    **dict.fromkeys(_WIDTHS, _WIDTH),
    **dict.fromkeys(('num_convs', 'stacked_convs', 'num_stacked_convs', 'num_csp_blocks'), 1),
    **dict.fromkeys(('nms_pre', 'num_points'), 100),
    **dict.fromkeys(('max_per_img', 'max_per_image', 'num_queries'), 10),
    num=16,  # RoIs or anchors that a sampler takes
    num_layers=3,
    num_feats=_WIDTH // 2,
    num_classes=NUM_CLASSES,
    num_things_classes=NUM_CLASSES,
    score_thr=0.0,
)
# type of backbone -> what makes it small
_BACKBONES = {
    'VoVNet': dict(arch='V-19-slim-dw', norm_cfg=dict(type='BN', requires_grad=True), norm_eval=False),
    'ResNet': dict(depth=18, frozen_stages=-1, norm_cfg=dict(type='BN', requires_grad=True), norm_eval=False),
    'SwinTransformer': dict(embed_dims=24, depths=(1, 1, 1, 1)),
    'PyramidVisionTransformerV2': dict(embed_dims=16, num_layers=(1, 1, 1, 1)),
    'mmpretrain.ConvNeXt': dict(arch=dict(depths=[1, 1, 1, 1], channels=[16, 32, 64, 128])),
}


def _shrink(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _MOST and isinstance(inner, (int, float)):
                value[key] = min(inner, _MOST[key])
            elif key == 'class_weight':
                value[key] = [1.0] * NUM_CLASSES + [0.1]
            elif inner == 'SyncBN':
                value[key] = 'BN'
            else:
                _shrink(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _shrink(inner)


def shrink(model_cfg):
    """Return a config of the same parts with few channels, layers, classes and RoIs, to be trained from scratch."""
    cfg = copy.deepcopy(model_cfg)
    backbone = cfg.pop('backbone')
    _shrink(cfg)
    backbone.update(_BACKBONES[backbone.type], init_cfg=None)
    cfg.backbone = backbone
    cfg.data_preprocessor.pop('batch_augments', None)
    built = MODELS.build(backbone)
    built.eval()
    with torch.no_grad():
        widths = [feat.shape[1] for feat in built(torch.zeros(1, 3, 64, 64))]
    reader = cfg.get('neck') or cfg.panoptic_head
    (reader[0] if isinstance(reader, list) else reader).in_channels = widths
    return cfg
