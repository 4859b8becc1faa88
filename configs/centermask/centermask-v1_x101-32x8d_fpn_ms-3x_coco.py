_base_ = ['../_base_/models/centermask-v1_fpn.py', '../_base_/recipes/coco_ms.py', '../_base_/recipes/sgd_3x.py']

# its ImageNet weights had std 1, unlike those of CenterMask2; start from a converted checkpoint
model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNeXt',
        depth=101,
        groups=32,
        base_width=8,
        out_indices=(1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        style='pytorch',  # stride in the 3x3 convolution
    ),
    neck=dict(in_channels=[512, 1024, 2048]),
)
