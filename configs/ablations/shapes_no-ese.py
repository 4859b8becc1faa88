# VoVNet without channel attention; V-19 has no module for a residual connection to reach
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]

model = dict(backbone=dict(attention=None))
