# CenterMask-Lite V-19-slim-dw from random weights, for drawn shapes at 128 pixels
_base_ = './centermask_fpn.py'

model = dict(
    num_classes=4,
    data_preprocessor=dict(std=[57.375, 57.12, 58.395]),
    backbone=dict(arch='V-19-slim-dw', norm_cfg=dict(requires_grad=True), norm_eval=False),
    # Lite: 128 channels and half the convolutions in every head
    neck=dict(in_channels=[256, 384, 512], out_channels=128),
    bbox_head=dict(
        in_channels=128,
        feat_channels=128,
        stacked_convs=2,
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
    roi_head=dict(
        mask_roi_extractor=dict(out_channels=128),
        mask_head=dict(num_convs=2, in_channels=128, conv_out_channels=128),
        mask_iou_head=dict(num_convs=2, in_channels=128, conv_out_channels=128),
    ),
    # 4 RoIs an image in place of 128: the mask branch costs most of an iteration and learns first
    train_cfg=dict(rcnn=dict(sampler=dict(num=4))),
)
