# Eq. 2 on P2..P5
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]

model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[112, 256, 384, 512], num_outs=6),
    roi_head=dict(mask_roi_extractor=dict(k_min=2, featmap_strides=[4, 8, 16, 32])),
)
