# tools/dist_train.sh configs/mixed/mask-rcnn_v39-ese_fpn_1x_coco.py 8 | 8 GPUs | hours: | AP:
# Mask R-CNN on VoVNetV2-39
_base_ = ['mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', '../_base_/models/backbones.py']

custom_imports = dict(imports=['mmcentermask'], allow_failed_imports=False)

model = _base_.pop('backbones').v39_in_mmdet
