# Rows of backbones: what `model` changes for each. A base file of its own, as mmengine takes a key from one base alone:
#   _base_ = ['../_base_/models/centermask_fpn.py', '../_base_/models/backbones.py', ...]
#   model = _base_.pop('backbones').resnet50
# `pop` keeps the table out of the config.
__resnet = dict(
    _delete_=True,
    type='ResNet',
    out_indices=(1, 2, 3),
    frozen_stages=1,
    norm_cfg=dict(type='BN', requires_grad=False),
    norm_eval=True,
    style='caffe',  # stride in the 1x1 convolution
)
__resnet_neck = dict(in_channels=[512, 1024, 2048])
__v39_weights = dict(type='Pretrained', checkpoint='timm://ese_vovnet39b.ra_in1k')
__slim_neck = dict(in_channels=[256, 384, 512])

backbones = dict(
    resnet50=dict(
        backbone=dict(
            __resnet,
            depth=50,
            init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnet50_caffe'),
        ),
        neck=__resnet_neck,
    ),
    resnet101=dict(
        backbone=dict(
            __resnet,
            depth=101,
            init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnet101_caffe'),
        ),
        neck=__resnet_neck,
    ),
    # style: stride in the 3x3 convolution
    resnext101=dict(
        backbone=dict(__resnet, type='ResNeXt', depth=101, groups=32, base_width=8, style='pytorch'),
        neck=__resnet_neck,
    ),
    mobilenet_v2=dict(
        backbone=dict(
            _delete_=True,
            type='TrimmedMobileNetV2',
            out_indices=(2, 4, 6),
            norm_cfg=dict(type='BN', requires_grad=False),
            norm_eval=True,
        ),
        neck=dict(in_channels=[32, 96, 320]),
    ),
    # from timm's weights
    v39=dict(backbone=dict(init_cfg=__v39_weights)),
    v57=dict(
        backbone=dict(
            arch='V-57',
            init_cfg=dict(type='Pretrained', checkpoint='timm://ese_vovnet57b.ra4_e3600_r256_in1k'),
        )
    ),
    v19_slim=dict(backbone=dict(arch='V-19-slim'), neck=__slim_neck),
    v19_slim_dw=dict(backbone=dict(arch='V-19-slim-dw'), neck=__slim_neck),
    # from random weights: norms train
    v19_slim_dw_scratch=dict(
        data_preprocessor=dict(std=[57.375, 57.12, 58.395]),
        backbone=dict(arch='V-19-slim-dw', norm_cfg=dict(requires_grad=True), norm_eval=False),
        neck=__slim_neck,
    ),
    # in mmdet's own models, whose necks read all four stages; the data are normalized as VoVNet's weights want it
    v39_in_mmdet=dict(
        data_preprocessor=dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
        backbone=dict(
            _delete_=True,
            type='VoVNet',
            arch='V-39',
            init_cfg=__v39_weights,
        ),
        neck=dict(in_channels=[256, 512, 768, 1024]),
    ),
)
