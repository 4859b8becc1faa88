_base_ = ['../_base_/models/centermask-v1_fpn.py', '../_base_/recipes/coco_ms.py', '../_base_/recipes/sgd_3x.py']

model = dict(backbone=dict(arch='V-99'))
