_base_ = ['../_base_/models/centermask_r50_fpn.py', '../_base_/recipes/coco_ms.py', '../_base_/recipes/sgd_2x.py']

model = dict(
    data_preprocessor=dict(std=[57.375, 57.12, 58.395]),
    backbone=dict(
        type='ResNeXt',
        depth=101,
        groups=32,
        base_width=8,
        style='pytorch',  # stride in the 3x3 convolution
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnext101_32x8d'),
    ),
)
