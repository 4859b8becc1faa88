# Panoptic-CenterMask: P2..P7, boxes on P3..P7, masks on P3..P5, stuff on P2..P5
_base_ = './centermask_fpn.py'

model = dict(
    type='PanopticCenterMask',
    num_stuff_classes=53,
    data_preprocessor=dict(pad_seg=True, seg_pad_value=255),
    backbone=dict(out_indices=(0, 1, 2, 3)),
    neck=dict(in_channels=[256, 512, 768, 1024], num_outs=6),
    semantic_head=dict(
        type='StuffHead',
        in_channels=256,
        inner_channels=128,
        loss_seg=dict(type='CrossEntropyLoss', ignore_index=255, avg_non_ignore=True, loss_weight=0.5),
    ),
    panoptic_fusion_head=dict(type='PanopticFusionHead'),
    test_cfg=dict(
        rcnn=dict(mask_format='rle'),  # dense ones of a large image would fill the memory
        panoptic=dict(score_thr=0.5, mask_overlap=0.5, stuff_area_limit=4096),
    ),
)
