# CenterMask2 on ResNet-50, stem and first stage frozen
_base_ = './centermask_fpn.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=50,
        out_indices=(1, 2, 3),
        frozen_stages=1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        style='caffe',  # stride in the 1x1 convolution
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnet50_caffe'),
    ),
    neck=dict(in_channels=[512, 1024, 2048]),
)
