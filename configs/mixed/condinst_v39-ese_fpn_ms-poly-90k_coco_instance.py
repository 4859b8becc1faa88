# tools/dist_train.sh configs/mixed/condinst_v39-ese_fpn_ms-poly-90k_coco_instance.py 8 | 8 GPUs | hours: | AP:
# CondInst on VoVNetV2-39
_base_ = ['mmdet::condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py', '../_base_/models/backbones.py']

custom_imports = dict(imports=['mmcentermask'], allow_failed_imports=False)

model = _base_.pop('backbones').v39_in_mmdet
