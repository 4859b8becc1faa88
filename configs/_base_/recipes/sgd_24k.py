# 24k iterations of 8 images: for a small data set, from weights of a large one
_base_ = './sgd_1x.py'

max_iters = 24000
train_cfg = dict(max_iters=max_iters, val_interval=2000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=max_iters, milestones=[18000], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=8)
