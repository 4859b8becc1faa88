# 360k iterations of 16 images
_base_ = './sgd_1x.py'

train_cfg = dict(max_iters=360000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].milestones = [300000, 340000]
