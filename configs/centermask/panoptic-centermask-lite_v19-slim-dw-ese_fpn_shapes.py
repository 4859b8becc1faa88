# python tools/train.py configs/centermask/panoptic-centermask-lite_v19-slim-dw-ese_fpn_shapes.py | 1 CPU | hours: | AP:
# Panoptic-CenterMask-Lite V-19-slim-dw from random weights on drawn shapes on stuff
_base_ = [
    '../_base_/models/panoptic-centermask-lite_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/models/shapes.py',
    '../_base_/datasets/shapes_panoptic.py',
    '../_base_/schedules/adamw_shapes.py',
    '../_base_/default_runtime.py',
]

model = _base_.pop('backbones').v19_slim_dw_scratch
model.neck.in_channels = [112, 256, 384, 512]
model.update(_base_.pop('shapes'))
model.num_stuff_classes = 3
model.test_cfg = dict(panoptic=dict(score_thr=0.3, stuff_area_limit=256))
default_hooks = dict(checkpoint=dict(interval=350, max_keep_ckpts=1), logger=dict(interval=25))
log_processor = dict(window_size=25)
custom_hooks = [dict(type='ChannelsLastHook')]  # on CPU an iteration takes about a quarter less
