# LVIS v1: 1203 classes, short side one of 640, 672, ..., 800. Images of rare classes are repeated, as mmdet does.
# The folder has COCO's images: train2017/  val2017/  annotations/lvis_v1_train.json  annotations/lvis_v1_val.json
# It needs `pip install lvis`.
_base_ = 'mmdet::_base_/datasets/lvis_v1_instance.py'

data_root = '{{$MMDET_DATASETS:data/lvis_v1}}'  # or --cfg-options data_root=FOLDER

train_pipeline = [
    dict(type='LoadTrainingImage'),
    dict(type='LoadInstanceAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomChoiceResize', scales=[(1333, short) for short in range(640, 801, 32)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(dataset=dict(data_root=data_root, pipeline=train_pipeline)),
)
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
val_evaluator = dict(type='LVISInstanceMetric', ann_file=data_root + '/annotations/lvis_v1_val.json')
test_evaluator = val_evaluator
