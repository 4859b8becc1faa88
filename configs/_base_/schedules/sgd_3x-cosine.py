# 270k iterations of 16 images, warm-up and cosine decay in the place of steps
_base_ = './sgd_1x.py'

train_cfg = dict(max_iters=270000)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='CosineAnnealingLR', by_epoch=False, begin=1000, eta_min=0),
]
