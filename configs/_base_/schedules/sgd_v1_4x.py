# CenterMaskV1's sgd_4x.py
_base_ = ['./sgd_4x.py', './sgd_v1.py']

__v1 = _base_.pop('v1')
optim_wrapper = __v1.optim_wrapper
param_scheduler = [__v1.warm_up, _base_.param_scheduler[1]]
