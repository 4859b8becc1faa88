# Eq. 2 on P3 and P4
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]

model = dict(roi_head=dict(mask_roi_extractor=dict(k_max=4, featmap_strides=[8, 16])))
