# `make demo`: CenterMask-Lite V-19-slim-dw from random weights on drawn shapes, on CPU
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]
