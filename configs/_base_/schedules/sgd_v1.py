# What CenterMaskV1's schedules change, for any length of them: whatever has "bias" in its name at twice the rate and
# without decay, norm weights with decay, and a third of the rate for the first 500 iterations
v1 = dict(
    optim_wrapper=dict(paramwise_cfg=dict(_delete_=True, custom_keys=dict(bias=dict(lr_mult=2.0, decay_mult=0.0)))),
    warm_up=dict(type='ConstantLR', factor=1.0 / 3, by_epoch=False, begin=0, end=500),
)
