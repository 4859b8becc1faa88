# tools/dist_train.sh configs/centermask/centermask_v99-ese_fpn_ms-2x_coco.py 8 | 8 GPUs | hours: | AP:
# From scratch, as its only public ImageNet weights are not for commercial use; README.md says how to start from them
_base_ = [
    '../_base_/models/centermask_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco_ms.py',
    '../_base_/schedules/sgd_2x.py',
    '../_base_/default_runtime.py',
]

model = _base_.pop('backbones').v99
