# tools/dist_train.sh configs/mixed/centermask_v39-ese_pafpn_ms-3x_coco.py 8 | 8 GPUs | hours: | AP:
# CenterMask with a path aggregation network
_base_ = [
    '../_base_/models/centermask_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco_ms.py',
    '../_base_/schedules/sgd_3x.py',
    '../_base_/default_runtime.py',
]

model = dict(_base_.pop('backbones').v39, neck=dict(type='PAFPN'))
