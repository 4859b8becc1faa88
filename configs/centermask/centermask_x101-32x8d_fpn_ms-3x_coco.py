# tools/dist_train.sh configs/centermask/centermask_x101-32x8d_fpn_ms-3x_coco.py 8 | 8 GPUs | hours: | AP:
_base_ = [
    '../_base_/models/centermask_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco_ms.py',
    '../_base_/schedules/sgd_3x.py',
    '../_base_/default_runtime.py',
]

model = _base_.pop('backbones').resnext101
