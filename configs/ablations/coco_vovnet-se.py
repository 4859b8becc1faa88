# VoVNet with residual connections and SE (two layers, reduction 16)
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/coco.py', '../_base_/recipes/sgd_1x.py']

model = dict(backbone=dict(attention='SE'))
