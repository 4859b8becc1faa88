# tools/dist_train.sh configs/centermask/panoptic-centermask_v39-ese_fpn_ms-24k_cityscapes.py 8 | 8 GPUs | hours: | AP:
# Panoptic-CenterMask V-39 on Cityscapes, one image a GPU
_base_ = [
    '../_base_/models/panoptic-centermask_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/cityscapes_panoptic.py',
    '../_base_/schedules/sgd_24k.py',
    '../_base_/default_runtime.py',
]

model = dict(_base_.pop('backbones').v39, num_classes=8, num_stuff_classes=11)
default_hooks = dict(checkpoint=dict(interval=2000))
