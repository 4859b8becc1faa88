_base_ = [
    '../_base_/models/centermask-v1-lite_fpn.py',
    '../_base_/recipes/coco_lite-ms.py',
    '../_base_/recipes/sgd_4x.py',
]
