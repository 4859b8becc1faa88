# COCO panoptic for Lite: trained at a short side of 580 or 600, tested at 600, long side at most 1000
_base_ = './coco_panoptic.py'

train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='RandomChoiceResize', scales=[(1000, 580), (1000, 600)], keep_ratio=True),
    *_base_.train_pipeline[3:],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=(1000, 600), keep_ratio=True),
    *_base_.test_pipeline[2:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
