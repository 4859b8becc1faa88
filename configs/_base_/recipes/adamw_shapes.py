# AdamW for drawn shapes: 1400 iterations of 8 images
_base_ = './adamw_scratch.py'

max_iters = 1400
train_cfg = dict(max_iters=max_iters, val_interval=350)
optim_wrapper = dict(
    optimizer=dict(lr=0.0015, fused=True),
    # a step of Adam is small beside the backbone's weights, which start larger than the heads'
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=6))),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=50, end=max_iters, eta_min_ratio=0.01),
]
