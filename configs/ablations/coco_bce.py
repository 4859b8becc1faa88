# Cross-entropy on classes in the place of the focal loss
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/coco.py', '../_base_/recipes/sgd_1x.py']

model = dict(bbox_head=dict(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)))
