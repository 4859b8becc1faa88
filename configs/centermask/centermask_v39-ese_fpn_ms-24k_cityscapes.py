# tools/dist_train.sh configs/centermask/centermask_v39-ese_fpn_ms-24k_cityscapes.py 8 | 8 GPUs | hours: | AP:
# CenterMask2 V-39 on Cityscapes, one image a GPU. From weights of COCO, --cfg-options load_from=FILE: the class
# predictors are made anew
_base_ = [
    '../_base_/models/centermask_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/cityscapes.py',
    '../_base_/schedules/sgd_24k.py',
    '../_base_/default_runtime.py',
]

model = dict(_base_.pop('backbones').v39, num_classes=8)
default_hooks = dict(checkpoint=dict(interval=2000))
