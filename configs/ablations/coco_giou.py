# GIoU as mmdet has it, without the authors' smoothing
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/coco.py', '../_base_/recipes/sgd_1x.py']

model = dict(bbox_head=dict(loss_bbox=dict(type='GIoULoss', loss_weight=1.0)))
