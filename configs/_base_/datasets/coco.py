# COCO, short side 800, long side at most 1333
_base_ = 'mmdet::_base_/datasets/coco_instance.py'

data_root = '{{$MMDET_DATASETS:data/coco}}'  # or --cfg-options data_root=FOLDER

train_pipeline = [
    dict(type='LoadTrainingImage'),  # names a damaged image and takes another
    # polygons where the annotations are polygons: the official mask targets, at a fraction of a bitmap's memory
    dict(type='LoadInstanceAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(type='CocoInstanceDataset', data_root=data_root, pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(type='CocoInstanceDataset', data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoInstanceMetric', ann_file=data_root + '/annotations/instances_val2017.json')
test_evaluator = val_evaluator
