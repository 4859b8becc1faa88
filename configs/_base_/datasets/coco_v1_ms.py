# As coco_v1.py, multi-scale training: short side any whole number of 640, 641, ..., 800
_base_ = './coco_v1.py'

train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(type='RandomChoiceResize', resize_type='LegacyResize', scales=[(1333, short) for short in range(640, 801)]),
    *_base_.train_pipeline[4:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
