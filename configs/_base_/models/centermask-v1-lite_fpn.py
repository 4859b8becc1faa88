# CenterMaskV1-Lite: centermask-lite_fpn.py and centermask-v1_fpn.py in one, as neither can be the other's base
# without a fourth level
_base_ = './centermask_fpn.py'

model = dict(
    type='CenterMaskV1',
    data_preprocessor=dict(mean=[102.9801, 115.9465, 122.7717]),
    neck=dict(out_channels=128),
    bbox_head=dict(type='CenterMaskV1Head', in_channels=128, feat_channels=128, stacked_convs=2),
    roi_head=dict(
        type='CenterMaskV1RoIHead',
        mask_roi_extractor=dict(
            type='LegacyAdaptiveRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=2, aligned=False),
            out_channels=128,
        ),
        mask_head=dict(type='CenterMaskV1MaskHead', num_convs=2, in_channels=128, conv_out_channels=128),
        mask_iou_head=dict(type='CenterMaskV1IoUHead', num_convs=2, in_channels=128, conv_out_channels=128),
    ),
    train_cfg=dict(
        proposal=dict(score_thr=0.03, nms=dict(offset=1)),
        rcnn=dict(
            assigner=dict(iou_calculator=dict(type='LegacyBboxOverlaps2D')),
            sampler=dict(num=100000),  # no sampling: every positive is used
        ),
    ),
    test_cfg=dict(score_thr=0.03, nms=dict(offset=1)),
)
