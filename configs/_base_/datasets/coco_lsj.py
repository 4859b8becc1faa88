# COCO with large-scale jitter: images at 0.1 to 2 times the size at which they fit into 1024 x 1024, cropped to that
_base_ = './coco.py'

image_size = (1024, 1024)
train_pipeline = [
    dict(type='LoadTrainingImage'),
    dict(type='LoadInstanceAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomResize', scale=image_size, ratio_range=(0.1, 2.0), keep_ratio=True),
    dict(
        type='RandomCrop',
        crop_type='absolute_range',
        crop_size=image_size,
        recompute_bbox=True,  # from what is left of the mask
        allow_negative_crop=True,
    ),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
