_base_ = ['../_base_/models/centermask-v1_fpn.py', '../_base_/recipes/coco.py', '../_base_/recipes/sgd_1x.py']

model = dict(backbone=dict(arch='V-99', dcn=dict(type='DCNv2', deform_groups=1)))
