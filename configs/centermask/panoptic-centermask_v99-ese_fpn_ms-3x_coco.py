# tools/dist_train.sh configs/centermask/panoptic-centermask_v99-ese_fpn_ms-3x_coco.py 8 | 8 GPUs | hours: | AP:
# Trains from scratch, as its public ImageNet weights are not for commercial use; to start from those: README.md
_base_ = [
    '../_base_/models/panoptic-centermask_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco_panoptic_ms.py',
    '../_base_/schedules/sgd_3x.py',
    '../_base_/default_runtime.py',
]

model = _base_.pop('backbones').v99
