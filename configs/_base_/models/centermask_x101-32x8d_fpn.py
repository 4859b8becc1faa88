# CenterMask2 on ResNeXt-101 32x8d
_base_ = ['./centermask_fpn.py', './backbones.py']

model = _base_.pop('backbones').resnext101
model.data_preprocessor = dict(std=[57.375, 57.12, 58.395])
model.backbone.init_cfg = dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnext101_32x8d')
