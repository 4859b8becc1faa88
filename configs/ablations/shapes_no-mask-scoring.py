# Masks ranked by the box score: no mask-IoU head
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]

model = dict(roi_head=dict(mask_iou_head=None))
