# Cityscapes instances: 8 classes, short side one of 800, 832, ..., 1024 of 1024, tested at 1024 x 2048.
# Make the JSON files with mmdet's tools/dataset_converters/cityscapes.py; the folder is
#   leftImg8bit/{train,val}/CITY/*.png  gtFine/{train,val}/CITY/*.png  annotations/instancesonly_filtered_gtFine_*.json
# The second metric is Cityscapes' own: it needs `pip install cityscapesScripts` and reads gtFine.
_base_ = 'mmdet::_base_/datasets/cityscapes_instance.py'

data_root = '{{$MMDET_DATASETS:data/cityscapes}}'  # or --cfg-options data_root=FOLDER

train_pipeline = [
    dict(type='LoadTrainingImage'),
    dict(type='LoadInstanceAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomChoiceResize', scales=[(2048, short) for short in range(800, 1025, 32)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    # mmdet repeats the dataset to make epochs longer, which iterations have no need of
    dataset=dict(times=1, dataset=dict(data_root=data_root, pipeline=train_pipeline)),
)
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = [
    dict(
        type='CocoMetric',
        ann_file=data_root + '/annotations/instancesonly_filtered_gtFine_val.json',
        metric=['bbox', 'segm'],
    ),
    dict(
        type='CityscapesInstanceMetric',
        seg_prefix=data_root + '/gtFine/val',
        outfile_prefix='./work_dirs/cityscapes_metric/instance',
    ),
]
test_evaluator = val_evaluator
