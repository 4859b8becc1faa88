# python tools/train.py configs/centermask/panoptic-centermask-lite_v19-slim-dw-ese_fpn_shapes.py | 1 CPU | hours: | AP:
# Panoptic-CenterMask-Lite V-19-slim-dw from random weights on drawn shapes on stuff
_base_ = [
    '../_base_/models/panoptic-centermask-lite_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/shapes_panoptic.py',
    '../_base_/schedules/adamw_shapes.py',
    '../_base_/default_runtime.py',
]

model = _base_.pop('backbones').v19_slim_dw_scratch
model.neck.in_channels = [112, 256, 384, 512]
model.num_classes = 4
model.num_stuff_classes = 3
model.bbox_head = dict(
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
)
# 4 RoIs an image in place of 128: the mask branch costs most of an iteration and learns first
model.train_cfg = dict(rcnn=dict(sampler=dict(num=4)))
model.test_cfg = dict(panoptic=dict(score_thr=0.3, stuff_area_limit=256))
default_hooks = dict(checkpoint=dict(interval=350, max_keep_ckpts=1), logger=dict(interval=25))
log_processor = dict(window_size=25)
custom_hooks = [dict(type='ChannelsLastHook')]  # on CPU an iteration takes about a quarter less
