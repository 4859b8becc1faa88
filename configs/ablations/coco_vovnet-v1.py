# VoVNet V1: no channel attention, no residual connections
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/coco.py', '../_base_/recipes/sgd_1x.py']

model = dict(backbone=dict(attention=None, residual=False))
