# tools/dist_train.sh configs/centermask/centermask-v1_v99-ese-dcn_fpn_1x_coco.py 8 | 8 GPUs | hours: | AP:
# From scratch, as its only public ImageNet weights are not for commercial use; README.md says how to start from them
_base_ = [
    '../_base_/models/centermask-v1_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco_v1.py',
    '../_base_/schedules/sgd_v1_1x.py',
    '../_base_/default_runtime.py',
]

model = dict(backbone=dict(_base_.pop('backbones').v99.backbone, dcn=dict(type='DCNv2', deform_groups=1)))
