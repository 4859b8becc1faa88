# From random weights: AdamW, gradient clipping, warm-up, cosine. Goes with trainable norms in the backbone:
# backbone=dict(norm_cfg=dict(requires_grad=True), norm_eval=False)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=90000, val_interval=10000)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.002, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=1000),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=1000, eta_min_ratio=0.01),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
