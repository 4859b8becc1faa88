# IoU loss on boxes
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/coco.py', '../_base_/recipes/sgd_1x.py']

model = dict(bbox_head=dict(loss_bbox=dict(type='IoULoss', mode='linear', loss_weight=1.0)))
