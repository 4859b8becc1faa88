# tools/dist_train.sh configs/mixed/centermask_pvtv2-b1_fpn_ms-3x_coco.py 8 | 8 GPUs | hours: | AP:
# CenterMask on PVTv2-B1, with the optimizer that transformers want
_base_ = [
    '../_base_/models/centermask_fpn.py',
    '../_base_/datasets/coco_ms.py',
    '../_base_/schedules/sgd_3x.py',
    '../_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True),
    backbone=dict(
        _delete_=True,
        type='PyramidVisionTransformerV2',
        embed_dims=64,
        num_layers=[2, 2, 2, 2],
        out_indices=(1, 2, 3),
        init_cfg=dict(
            type='Pretrained', checkpoint='https://github.com/whai362/PVT/releases/download/v2/pvt_v2_b1.pth'
        ),
    ),
    neck=dict(in_channels=[128, 320, 512]),
)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=0.0001, weight_decay=0.0001))
