# tools/dist_train.sh configs/mixed/mask2former_v39-ese_8xb2-lsj-50e_coco.py 8 | 8 GPUs | hours: | AP:
# Mask2Former on VoVNetV2-39
_base_ = ['mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py', '../_base_/models/backbones.py']

custom_imports = dict(imports=['mmcentermask'], allow_failed_imports=False)

__v39 = _base_.pop('backbones').v39_in_mmdet
model = dict(
    data_preprocessor=__v39.data_preprocessor,
    backbone=__v39.backbone,
    panoptic_head=dict(in_channels=__v39.neck.in_channels),
)
