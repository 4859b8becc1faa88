# The authors' schedule: SGD, 90k iterations of 16 images; `--auto-scale-lr` scales the rate to another batch size.
# A scheduler without `end` goes on to the last iteration.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=90000, val_interval=10000)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001),
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', by_epoch=False, begin=0, milestones=[60000, 80000], gamma=0.1),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
