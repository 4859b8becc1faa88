_base_ = ['../_base_/models/centermask-v1_fpn.py', '../_base_/recipes/coco_ms.py', '../_base_/recipes/sgd_3x.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='TrimmedMobileNetV2',
        out_indices=(2, 4, 6),
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
    ),
    neck=dict(in_channels=[32, 96, 320]),
    roi_head=dict(mask_iou_head=None),  # the published weights have none
)
