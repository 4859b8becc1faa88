# COCO panoptic, short side 800, long side at most 1333. Metric: pip install mmcentermask[panoptic]
_base_ = 'mmdet::_base_/datasets/coco_panoptic.py'

data_root = '{{$MMDET_DATASETS:data/coco}}'  # or --cfg-options data_root=FOLDER

train_pipeline = [
    dict(type='LoadTrainingImage'),  # names a damaged image and takes another
    dict(type='LoadPanopticPNGAnnotations', with_bbox=True, with_mask=True, with_seg=True),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(type='PanopticDataset', data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(type='PanopticDataset', data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type='PanopticQualityMetric',
    ann_file=data_root + '/annotations/panoptic_val2017.json',
    seg_prefix=data_root + '/annotations/panoptic_val2017',
)
test_evaluator = val_evaluator
