# tools/dist_train.sh configs/mixed/rtmdet-ins_v39-ese_8xb32-300e_coco.py 8 | 8 GPUs | hours: | AP:
# RTMDet-Ins with VoVNetV2-39 in the place of CSPNeXt-L
_base_ = ['mmdet::rtmdet/rtmdet-ins_l_8xb32-300e_coco.py', '../_base_/models/backbones.py']

custom_imports = dict(imports=['mmcentermask'], allow_failed_imports=False)

model = dict(
    data_preprocessor=dict(std=[1.0, 1.0, 1.0]),
    backbone=dict(_base_.pop('backbones').v39_in_mmdet.backbone, out_indices=(1, 2, 3)),
    neck=dict(in_channels=[512, 768, 1024]),
)
