# CenterMask-Lite V-19-slim-dw on COCO from random weights, with norms that train
_base_ = [
    '../_base_/models/centermask-lite_fpn.py',
    '../_base_/recipes/coco_lite-ms.py',
    '../_base_/recipes/adamw_scratch.py',
]

model = dict(
    data_preprocessor=dict(std=[57.375, 57.12, 58.395]),
    backbone=dict(arch='V-19-slim-dw', norm_cfg=dict(requires_grad=True), norm_eval=False),
    neck=dict(in_channels=[256, 384, 512]),
)
