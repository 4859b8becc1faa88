# `make demo`: CenterMask-Lite V-19-slim-dw from random weights on drawn shapes, on CPU
_base_ = [
    '../_base_/models/centermask-lite_fpn.py',
    '../_base_/recipes/shapes.py',
    '../_base_/recipes/adamw_scratch.py',
]

model = dict(
    num_classes=4,
    data_preprocessor=dict(std=[57.375, 57.12, 58.395]),
    backbone=dict(arch='V-19-slim-dw', norm_cfg=dict(requires_grad=True), norm_eval=False),
    neck=dict(in_channels=[256, 384, 512]),
    bbox_head=dict(
        # for images of 128 pixels; the published ranges would send every object to the finest level
        regress_ranges=((-1, 16), (16, 32), (32, 64), (64, 128), (128, 1e8)),
        # towers start at Kaiming's scale: at the usual 0.01 each of Adam's steps would change them by a tenth and more
        init_cfg=dict(
            type='Kaiming',
            layer='Conv2d',
            mode='fan_in',
            override=[
                dict(type='Normal', name='conv_cls', std=0.01, bias_prob=0.01),
                # distances start at two strides: at zero, the ReLU on them lets half of the gradients die
                dict(type='Normal', name='conv_reg', std=0.01, bias=2.0),
                dict(type='Normal', name='conv_centerness', std=0.01),
            ],
        ),
    ),
    # 4 RoIs an image in place of 128: the mask branch costs most of an iteration and learns first
    train_cfg=dict(rcnn=dict(sampler=dict(num=4))),
)

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
default_hooks = dict(logger=dict(interval=25), checkpoint=dict(interval=350))
log_processor = dict(window_size=25)
