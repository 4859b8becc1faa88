# tools/dist_train.sh configs/centermask/centermask_v39-ese_fpn_ms-2x_lvis-v1.py 8 | 8 GPUs | hours: | AP:
# CenterMask2 V-39 on LVIS v1
_base_ = [
    '../_base_/models/centermask_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/lvis-v1.py',
    '../_base_/schedules/sgd_2x.py',
    '../_base_/default_runtime.py',
]

# scores are low with this many classes, and LVIS counts 300 detections an image
model = dict(_base_.pop('backbones').v39, num_classes=1203, test_cfg=dict(score_thr=0.0001, max_per_img=300))
