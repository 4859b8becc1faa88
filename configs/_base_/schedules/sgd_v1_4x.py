# As sgd_4x.py, with the first CenterMask's rates: whatever has "bias" in its name at twice the rate and without decay,
# norm weights with decay, and a third of the rate for the first 500 iterations
_base_ = './sgd_4x.py'

optim_wrapper = dict(paramwise_cfg=dict(_delete_=True, custom_keys=dict(bias=dict(lr_mult=2.0, decay_mult=0.0))))
param_scheduler = [
    dict(type='ConstantLR', factor=1.0 / 3, by_epoch=False, begin=0, end=500),
    _base_.param_scheduler[1],
]
