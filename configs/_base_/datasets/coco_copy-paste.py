# COCO with large-scale jitter and copy-paste: objects of a second image are pasted onto the first one
_base_ = './coco.py'

image_size = (1024, 1024)
load_pipeline = [
    dict(type='LoadTrainingImage'),
    # bitmaps: CopyPaste cuts the pasted object's pixels out of the masks below it, which it cannot do with polygons
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomResize', scale=image_size, ratio_range=(0.1, 2.0), keep_ratio=True),
    dict(
        type='RandomCrop',
        crop_type='absolute_range',
        crop_size=image_size,
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=image_size),  # both images must have one size
]
train_pipeline = [
    dict(type='CopyPaste', max_num_pasted=100),
    # of an object that is wholly covered no pixel is left
    dict(type='FilterAnnotations', by_box=False, by_mask=True),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MultiImageMixDataset',
        dataset=dict(
            type='CocoInstanceDataset',
            data_root={{_base_.data_root}},
            ann_file='annotations/instances_train2017.json',
            data_prefix=dict(img='train2017/'),
            filter_cfg=dict(filter_empty_gt=True, min_size=32),
            pipeline=load_pipeline,
        ),
        pipeline=train_pipeline,
    )
)
