# CenterMaskV1 (2019): legacy box offset, distances are exp(x) in pixels, scores without square root. Masks are pasted
# as by the original; --cfg-options model.roi_head.mask_head.type=SAGMaskHead pastes into the exact box, better.
_base_ = './centermask_fpn.py'

model = dict(
    type='CenterMaskV1',
    data_preprocessor=dict(mean=[102.9801, 115.9465, 122.7717]),
    bbox_head=dict(type='CenterMaskV1Head'),
    roi_head=dict(
        type='CenterMaskV1RoIHead',
        mask_roi_extractor=dict(
            type='LegacyAdaptiveRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=2, aligned=False),
        ),
        mask_head=dict(type='CenterMaskV1MaskHead'),
        mask_iou_head=dict(type='CenterMaskV1IoUHead'),
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
