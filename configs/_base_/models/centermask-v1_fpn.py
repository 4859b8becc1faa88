# The first CenterMask (2019): boxes count their last pixel, distances are exp(x) in pixels, scores have no square root
_base_ = './centermask_fpn.py'

model = dict(
    type='FirstCenterMask',
    data_preprocessor=dict(mean=[102.9801, 115.9465, 122.7717]),
    bbox_head=dict(type='FirstCenterMaskHead'),
    roi_head=dict(
        type='FirstCenterMaskRoIHead',
        mask_roi_extractor=dict(
            type='LastPixelRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=2, aligned=False),
        ),
    ),
    train_cfg=dict(
        proposal=dict(score_thr=0.03, nms=dict(offset=1)),
        rcnn=dict(assigner=dict(iou_calculator=dict(type='LastPixelOverlaps2D'))),
    ),
    test_cfg=dict(score_thr=0.03, nms=dict(offset=1)),
)
