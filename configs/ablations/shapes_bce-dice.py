# Cross-entropy and Dice loss on masks
_base_ = [
    '../_base_/models/centermask-lite_shapes.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_shapes.py',
]

model = dict(roi_head=dict(mask_head=dict(loss_dice=dict(type='MaskDiceLoss'))))
