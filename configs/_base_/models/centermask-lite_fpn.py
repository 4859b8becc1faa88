# CenterMask-Lite
_base_ = ['./centermask_fpn.py', './lite.py']

model = _base_.pop('lite')
