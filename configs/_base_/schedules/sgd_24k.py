# 24k iterations of 8 images: for a small dataset, from weights of a large one
_base_ = './sgd_1x.py'

train_cfg = dict(max_iters=24000, val_interval=2000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].milestones = [18000]
auto_scale_lr = dict(base_batch_size=8)
