# What drawn shapes of 128 pixels change. `model.update(_base_.pop('shapes'))`, see backbones.py
shapes = dict(
    num_classes=4,
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
