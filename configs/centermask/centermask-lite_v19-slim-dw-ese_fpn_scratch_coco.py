# tools/dist_train.sh configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_scratch_coco.py 4 | 4 GPUs | hours: | AP:
# CenterMask-Lite V-19-slim-dw on COCO from random weights, with norms that train
_base_ = [
    '../_base_/models/centermask-lite_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco_lite-ms.py',
    '../_base_/schedules/adamw_scratch.py',
    '../_base_/default_runtime.py',
]

model = _base_.pop('backbones').v19_slim_dw_scratch
