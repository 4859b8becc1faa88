# The drawn dataset of tools/make_shapes.py, at a long side of 128 pixels: less than half the work of its own 192
_base_ = ['mmdet::_base_/datasets/coco_instance.py', '../tta.py']

data_root = 'data/shapes'
metainfo = dict(
    classes=('ellipse', 'rectangle', 'triangle', 'star'),
    palette=[(220, 60, 60), (60, 130, 230), (60, 180, 90), (240, 170, 30)],
)

train_pipeline = [
    dict(type='LoadTrainingImage'),
    dict(type='LoadInstanceAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='RandomFlip', prob=[0.3, 0.3], direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=4,  # in each of two processes
    num_workers=1,
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='CocoInstanceDataset',
        data_root=data_root,
        metainfo=metainfo,
        filter_cfg=dict(_delete_=True, filter_empty_gt=False),  # images with nothing in them teach, too
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,  # the padding of a batch would change the features at an image's border, and so the score
    num_workers=1,
    dataset=dict(type='CocoInstanceDataset', data_root=data_root, metainfo=metainfo, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoInstanceMetric', ann_file=data_root + '/annotations/instances_val2017.json')
test_evaluator = val_evaluator

# tools/test.py --tta: three sizes, each as it is and mirrored
tta_pipeline = [
    _base_.tta_pipeline[0],
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale=(side, side), keep_ratio=True) for side in (112, 128, 144)],
            *_base_.tta_pipeline[1]['transforms'][1:],
        ],
    ),
]
