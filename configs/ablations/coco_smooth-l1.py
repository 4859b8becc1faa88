# Smooth L1 loss on box coordinates, in units of the stride
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/coco.py', '../_base_/recipes/sgd_1x.py']

model = dict(bbox_head=dict(loss_bbox=dict(type='BoxSmoothL1Loss', loss_weight=0.25)))
