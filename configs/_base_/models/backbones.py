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
# style: stride in the 3x3 convolution
__resnext = dict(__resnet, type='ResNeXt', depth=101, groups=32, base_width=8, style='pytorch')
__resnet_neck = dict(in_channels=[512, 1024, 2048])
__v39_weights = dict(type='Pretrained', checkpoint='timm://ese_vovnet39b.ra_in1k')
# Of these there are no weights that everybody may use: they train from scratch, with norms that train, too, to which it
# is the same what std images have. configs/centermask/README.md says how to start from other weights.
__scratch = dict(norm_cfg=dict(requires_grad=True), norm_eval=False)
__slim_neck = dict(in_channels=[256, 384, 512])

backbones = dict(
    resnet50=dict(
        backbone=dict(
            __resnet,
            depth=50,
            init_cfg=dict(type='Pretrained', checkpoint='mmcentermask://resnet50_msra'),
        ),
        neck=__resnet_neck,
    ),
    resnet101=dict(
        backbone=dict(
            __resnet,
            depth=101,
            init_cfg=dict(type='Pretrained', checkpoint='mmcentermask://resnet101_msra'),
        ),
        neck=__resnet_neck,
    ),
    resnext101=dict(
        data_preprocessor=dict(std=[57.375, 57.12, 58.395]),
        backbone=dict(__resnext, init_cfg=dict(type='Pretrained', checkpoint='mmcentermask://resnext101_32x8d')),
        neck=__resnet_neck,
    ),
    # of images with std 1
    resnext101_v1=dict(
        backbone=dict(__resnext, init_cfg=dict(type='Pretrained', checkpoint='mmcentermask://resnext101_32x8d_std1')),
        neck=__resnet_neck,
    ),
    mobilenet_v2=dict(
        backbone=dict(
            _delete_=True,
            type='TrimmedMobileNetV2',
            out_indices=(2, 4, 6),
            norm_cfg=dict(type='BN', requires_grad=False),
            norm_eval=True,
            init_cfg=dict(type='Pretrained', checkpoint='mmcentermask://mobilenet_v2'),
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
    v19_slim_dw=dict(backbone=dict(__scratch, arch='V-19-slim-dw'), neck=__slim_neck),
    v19_slim=dict(backbone=dict(__scratch, arch='V-19-slim'), neck=__slim_neck),
    v19=dict(backbone=dict(__scratch, arch='V-19')),
    v99=dict(backbone=dict(__scratch, arch='V-99')),
    v19_slim_dw_scratch=dict(
        data_preprocessor=dict(std=[57.375, 57.12, 58.395]),
        backbone=dict(__scratch, arch='V-19-slim-dw'),
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
