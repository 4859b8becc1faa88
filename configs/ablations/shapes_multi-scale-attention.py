# Spatial attention at three scales (dilations 1, 2, 3); not in the paper
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]

model = dict(roi_head=dict(mask_head=dict(attention=dict(type='MultiScaleSpatialAttention'))))
