# CenterMask2 V-39 on Cityscapes: 8 GPUs of one image. From weights of COCO, --cfg-options load_from=FILE: the class
# predictors are made anew
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/cityscapes.py', '../_base_/recipes/sgd_24k.py']

model = dict(num_classes=8)
