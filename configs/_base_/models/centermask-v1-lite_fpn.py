# CenterMaskV1-Lite
_base_ = ['./centermask-v1_fpn.py', './lite.py']

model = _base_.pop('lite')
