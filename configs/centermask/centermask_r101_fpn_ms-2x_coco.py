_base_ = ['../_base_/models/centermask_r50_fpn.py', '../_base_/recipes/coco_ms.py', '../_base_/recipes/sgd_2x.py']

model = dict(
    backbone=dict(depth=101, init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnet101_caffe'))
)
