# Trained and tested at a short side of 600 pixels
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/coco.py', '../_base_/recipes/sgd_1x.py']

scale = (1000, 600)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_base_.train_pipeline[:2],
            dict(type='Resize', scale=scale, keep_ratio=True),
            *_base_.train_pipeline[3:],
        ]
    )
)
val_dataloader = dict(
    dataset=dict(
        pipeline=[
            _base_.test_pipeline[0],
            dict(type='Resize', scale=scale, keep_ratio=True),
            *_base_.test_pipeline[2:],
        ]
    )
)
test_dataloader = val_dataloader
