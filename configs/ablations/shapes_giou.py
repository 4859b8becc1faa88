# GIoU as mmdet has it, without the authors' smoothing
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]

model = dict(bbox_head=dict(loss_bbox=dict(type='GIoULoss', loss_weight=1.0)))
