# tools/dist_train.sh configs/centermask/panoptic-centermask_r101_fpn_ms-3x_coco.py 8 | 8 GPUs | hours: | AP:
_base_ = [
    '../_base_/models/panoptic-centermask_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco_panoptic_ms.py',
    '../_base_/schedules/sgd_3x.py',
    '../_base_/default_runtime.py',
]

model = _base_.pop('backbones').resnet101
model.backbone.out_indices = (0, 1, 2, 3)
model.neck.in_channels = [256, 512, 1024, 2048]
