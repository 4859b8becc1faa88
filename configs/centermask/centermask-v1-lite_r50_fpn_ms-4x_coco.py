_base_ = [
    '../_base_/models/centermask-v1-lite_fpn.py',
    '../_base_/recipes/coco_lite-ms.py',
    '../_base_/recipes/sgd_4x.py',
]

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
