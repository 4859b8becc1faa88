# COCO, short side 800, long side at most 1333
_base_ = ['mmdet::_base_/datasets/coco_instance.py', 'mmdet::_base_/default_runtime.py']

data_root = '{{$MMDET_DATASETS:data/coco}}'  # or --cfg-options data_root=FOLDER

train_pipeline = [
    dict(type='LoadTrainingImage'),  # names a damaged image and takes another
    # polygons where the annotations are polygons: the official mask targets, at a fraction of a bitmap's memory
    dict(type='LoadInstanceAnnotations'),
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

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    checkpoint=dict(type='ResumableCheckpointHook', by_epoch=False, interval=10000, max_keep_ckpts=3),
    invalid_loss=dict(type='InvalidLossHook'),
    logger=dict(type='MainProcessLoggerHook'),
)
log_processor = dict(by_epoch=False)
visualizer = dict(type='CenterMaskVisualizer')  # draws masks in either form
