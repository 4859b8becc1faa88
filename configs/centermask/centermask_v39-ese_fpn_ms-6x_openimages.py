# tools/dist_train.sh configs/centermask/centermask_v39-ese_fpn_ms-6x_openimages.py 8 | 8 GPUs | hours: | AP:
# CenterMask2 V-39 on the instances of Open Images, its group-of boxes as crowds: see ../_base_/datasets/openimages.py
_base_ = [
    '../_base_/models/centermask_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/openimages.py',
    '../_base_/schedules/sgd_6x.py',
    '../_base_/default_runtime.py',
]

# 350 classes have masks; the challenge of 2019 takes 300 of them: --cfg-options model.num_classes=300
model = dict(_base_.pop('backbones').v39, num_classes=350, bbox_head=dict(type='CrowdCenterMaskHead'))
