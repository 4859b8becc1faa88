# Faster R-CNN on VoVNetV2-39
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

custom_imports = dict(imports=['mmcentermask'], allow_failed_imports=False)

model = dict(
    data_preprocessor=dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    backbone=dict(_delete_=True, type='VoVNet', arch='V-39'),
    neck=dict(in_channels=[256, 512, 768, 1024]),
)
