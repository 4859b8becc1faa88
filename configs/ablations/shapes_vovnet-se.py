# VoVNet with residual connections and SE (two layers, reduction 16)
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]

model = dict(backbone=dict(attention='SE'))
