# Eq. 2 on P2..P5
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/coco.py', '../_base_/recipes/sgd_1x.py']

model = dict(
    backbone=dict(out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[256, 512, 768, 1024], num_outs=6),
    roi_head=dict(mask_roi_extractor=dict(k_min=2, featmap_strides=[4, 8, 16, 32])),
)
