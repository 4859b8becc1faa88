# Mask head without attention
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/coco.py', '../_base_/recipes/sgd_1x.py']

model = dict(roi_head=dict(mask_head=dict(attention=None)))
