# CenterMask2 on VoVNetV2-39: image -> backbone -> neck -> bbox_head -> roi_head
custom_imports = dict(imports=['mmcentermask'], allow_failed_imports=False)

model = dict(
    type='CenterMask',
    num_classes=80,  # reaches every head
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[103.53, 116.28, 123.675],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
        pad_mask=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type='VoVNet',
        arch='V-39',
        out_indices=(1, 2, 3),
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
    ),
    neck=dict(
        type='FPN',
        in_channels=[512, 768, 1024],
        out_channels=256,
        add_extra_convs='on_output',
        num_outs=5,
        relu_before_extra_convs=True,
    ),
    bbox_head=dict(
        type='CenterMaskHead', in_channels=256, feat_channels=256, stacked_convs=4, strides=[8, 16, 32, 64, 128]
    ),
    roi_head=dict(
        type='CenterMaskRoIHead',
        mask_roi_extractor=dict(
            type='AdaptiveRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[8, 16, 32],
        ),
        mask_head=dict(type='SAGMaskHead', num_convs=4, in_channels=256, conv_out_channels=256),
        mask_iou_head=dict(type='CenterMaskIoUHead', num_convs=4, in_channels=256, conv_out_channels=256),
    ),
    train_cfg=dict(
        proposal=dict(score_thr=0.05, nms_pre=1000, nms=dict(type='nms', iou_threshold=0.6), max_per_img=100),
        rcnn=dict(
            assigner=dict(
                type='MaxIoUAssigner',
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
                ignore_iof_thr=-1,
            ),
            sampler=dict(type='RandomSampler', num=128, pos_fraction=1.0, neg_pos_ub=0, add_gt_as_proposals=True),
            mask_size=28,
        ),
    ),
    test_cfg=dict(
        score_thr=0.05,
        nms_pre=1000,
        nms=dict(type='nms', iou_threshold=0.6),
        max_per_img=50,
        rcnn=dict(mask_thr_binary=0.5),
    ),
)
