# CenterMask with a path aggregation network
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/coco_ms.py', '../_base_/recipes/sgd_3x.py']

model = dict(neck=dict(type='PAFPN'))
