# Test-time augmentation, tools/test.py --tta: 9 short sides, each as it is and mirrored, which is detectron2's
# standard set. List it in `_base_` to change it, or leave it out: --tta takes it from here then.
tta_model = dict(
    type='CenterMaskTTA',
    tta_cfg=dict(nms=dict(type='nms', iou_threshold=0.6), max_per_img=100),
)
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(4000, short), keep_ratio=True) for short in range(400, 1201, 100)],
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            # after the flip: the ground truth stays that of the original image
            [dict(type='LoadAnnotations', with_bbox=True)],
            [
                dict(
                    type='PackDetInputs',
                    meta_keys=(
                        'img_id',
                        'img_path',
                        'ori_shape',
                        'img_shape',
                        'scale_factor',
                        'flip',
                        'flip_direction',
                    ),
                )
            ],
        ],
    ),
]
