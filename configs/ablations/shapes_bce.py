# Cross-entropy on classes in the place of the focal loss
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]

model = dict(bbox_head=dict(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)))
