# tools/dist_train.sh configs/centermask/panoptic-centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py 8 | 8 GPUs | hours: | AP:
# The only public ImageNet weights are the authors', not for commercial use (CC BY-NC 4.0); to start from them:
#   --cfg-options model.backbone.init_cfg.type=Pretrained
#   model.backbone.init_cfg.checkpoint=mmcentermask://vovnet19_ese_slim_dw_detectron2
_base_ = [
    '../_base_/models/panoptic-centermask-lite_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco_panoptic_lite-ms.py',
    '../_base_/schedules/sgd_4x.py',
    '../_base_/default_runtime.py',
]

model = _base_.pop('backbones').v19_slim_dw
model.neck.in_channels = [112, 256, 384, 512]
