# tools/dist_train.sh configs/centermask/panoptic-centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py 8 | 8 GPUs | hours: | AP:
# Trains from scratch, as its public ImageNet weights are not for commercial use; to start from those: README.md
_base_ = [
    '../_base_/models/panoptic-centermask-lite_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco_panoptic_lite-ms.py',
    '../_base_/schedules/sgd_4x.py',
    '../_base_/default_runtime.py',
]

model = _base_.pop('backbones').v19_slim_dw
model.neck.in_channels = [112, 256, 384, 512]
