# L1 loss on box coordinates, in units of the stride
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]

model = dict(bbox_head=dict(loss_bbox=dict(type='BoxL1Loss', loss_weight=0.25)))
