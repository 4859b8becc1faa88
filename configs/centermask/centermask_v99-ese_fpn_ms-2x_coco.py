_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/coco_ms.py', '../_base_/recipes/sgd_2x.py']

model = dict(backbone=dict(arch='V-99'))
