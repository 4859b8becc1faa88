# Your own data in COCO's format: change the four values below, and train.
#   data/custom/train/*.jpg  data/custom/val/*.jpg  data/custom/annotations/train.json  data/custom/annotations/val.json
_base_ = [
    '../_base_/models/centermask-lite_fpn.py',
    '../_base_/recipes/coco_lite-ms.py',
    '../_base_/recipes/adamw_scratch.py',
]

classes = ('balloon',)  # the names in the JSON, in your order; one class needs its comma
data_root = 'data/custom'
max_iters = 5000
load_from = None  # a converted checkpoint of the same model trains faster: its class predictors are made anew

model = dict(
    num_classes=1,
    data_preprocessor=dict(std=[57.375, 57.12, 58.395]),
    backbone=dict(arch='V-19-slim-dw', norm_cfg=dict(requires_grad=True), norm_eval=False),
    neck=dict(in_channels=[256, 384, 512]),
)
own_data = dict(data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=4, dataset=dict(ann_file='annotations/train.json', data_prefix=dict(img='train/'), **own_data)
)
val_dataloader = dict(dataset=dict(ann_file='annotations/val.json', data_prefix=dict(img='val/'), **own_data))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + '/annotations/val.json')
test_evaluator = val_evaluator
train_cfg = dict(max_iters=max_iters, val_interval=500)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=200, end=max_iters, eta_min_ratio=0.01),
]
default_hooks = dict(checkpoint=dict(interval=500))
