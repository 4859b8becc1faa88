# 540k iterations of 16 images
_base_ = './sgd_1x.py'

max_iters = 540000
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=max_iters, milestones=[480000, 520000], gamma=0.1),
]
