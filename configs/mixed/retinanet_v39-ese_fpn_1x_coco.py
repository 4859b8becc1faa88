# tools/dist_train.sh configs/mixed/retinanet_v39-ese_fpn_1x_coco.py 8 | 8 GPUs | hours: | AP:
# RetinaNet on VoVNetV2-39
_base_ = ['mmdet::retinanet/retinanet_r50_fpn_1x_coco.py', '../_base_/models/backbones.py']

custom_imports = dict(imports=['mmcentermask'], allow_failed_imports=False)

model = _base_.pop('backbones').v39_in_mmdet
