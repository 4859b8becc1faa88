# Panoptic-CenterMask-Lite
_base_ = ['./panoptic-centermask_fpn.py', './lite.py']

model = _base_.pop('lite')
model.semantic_head = dict(in_channels=128, inner_channels=64)
