# CenterMask2 on ResNet-50, stem and first stage frozen
_base_ = ['./centermask_fpn.py', './backbones.py']

model = _base_.pop('backbones').resnet50
