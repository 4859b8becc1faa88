# COCO, multi-scale training: short side one of 640, 672, ..., 800
_base_ = './coco.py'

train_pipeline = [
    dict(type='LoadTrainingImage'),
    dict(type='LoadInstanceAnnotations'),
    dict(type='RandomChoiceResize', scales=[(1333, short) for short in range(640, 801, 32)], keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
