# COCO as the first CenterMask prepares it: boxes of at most one pixel dropped, PIL's resizing, flips about W - 1
_base_ = './coco.py'

train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='FilterLegacyBoxes'),
    dict(type='LegacyResize', scale=(1333, 800)),
    dict(type='LegacyRandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='LegacyResize', scale=(1333, 800)),
    *_base_.test_pipeline[2:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
