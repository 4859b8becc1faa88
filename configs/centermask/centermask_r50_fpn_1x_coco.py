# tools/dist_train.sh configs/centermask/centermask_r50_fpn_1x_coco.py 8 | 8 GPUs | hours: | AP:
_base_ = [
    '../_base_/models/centermask_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco.py',
    '../_base_/schedules/sgd_1x.py',
    '../_base_/default_runtime.py',
]

model = _base_.pop('backbones').resnet50
