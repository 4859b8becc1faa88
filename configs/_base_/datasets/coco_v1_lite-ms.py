# As coco_v1.py, for CenterMaskV1-Lite: short side 580, 581, ..., 600, tested at 600, long side at most 1000
_base_ = './coco_v1.py'

train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(type='RandomChoiceResize', resize_type='LegacyResize', scales=[(1000, short) for short in range(580, 601)]),
    *_base_.train_pipeline[4:],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='LegacyResize', scale=(1000, 600)),
    *_base_.test_pipeline[2:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
