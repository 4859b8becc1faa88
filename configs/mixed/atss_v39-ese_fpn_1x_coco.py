# tools/dist_train.sh configs/mixed/atss_v39-ese_fpn_1x_coco.py 8 | 8 GPUs | hours: | AP:
# ATSS on VoVNetV2-39
_base_ = ['mmdet::atss/atss_r50_fpn_1x_coco.py', '../_base_/models/backbones.py']

custom_imports = dict(imports=['mmcentermask'], allow_failed_imports=False)

model = _base_.pop('backbones').v39_in_mmdet
