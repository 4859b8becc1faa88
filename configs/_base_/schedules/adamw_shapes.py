# AdamW for drawn shapes: 1400 iterations of 8 images
_base_ = './adamw_scratch.py'

train_cfg = dict(max_iters=1400, val_interval=350)
optim_wrapper = dict(
    optimizer=dict(lr=0.0015, fused=True),
    # a step of Adam is small beside the backbone's weights, which start larger than the heads'
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=6))),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = 50
