# make demo | 2 CPU cores | hours: 0.13 | AP: 50.3 / 55.5
# CenterMask-Lite V-19-slim-dw from random weights on drawn shapes of 128 pixels
_base_ = [
    '../_base_/models/centermask-lite_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/models/shapes.py',
    '../_base_/datasets/shapes.py',
    '../_base_/schedules/adamw_shapes.py',
    '../_base_/default_runtime.py',
]

model = _base_.pop('backbones').v19_slim_dw_scratch
model.update(_base_.pop('shapes'))
default_hooks = dict(checkpoint=dict(interval=350, max_keep_ckpts=1), logger=dict(interval=25))
log_processor = dict(window_size=25)
custom_hooks = [dict(type='ChannelsLastHook')]  # on CPU an iteration takes about a quarter less
