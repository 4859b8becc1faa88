_base_ = ['../_base_/models/centermask-v1_fpn.py', '../_base_/recipes/coco.py', '../_base_/recipes/sgd_1x.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='TrimmedMobileNetV2',
        out_indices=(2, 4, 6),
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
    ),
    neck=dict(in_channels=[32, 96, 320]),
)
