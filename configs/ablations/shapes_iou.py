# IoU loss on boxes
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]

model = dict(bbox_head=dict(loss_bbox=dict(type='IoULoss', mode='linear', loss_weight=1.0)))
