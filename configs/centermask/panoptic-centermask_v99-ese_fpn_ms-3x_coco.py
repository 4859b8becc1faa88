# tools/dist_train.sh configs/centermask/panoptic-centermask_v99-ese_fpn_ms-3x_coco.py 8 | 8 GPUs | hours: | AP:
# The only public ImageNet weights are the authors', not for commercial use (CC BY-NC 4.0); to start from them:
#   --cfg-options model.backbone.init_cfg.type=Pretrained
#   model.backbone.init_cfg.checkpoint=mmcentermask://vovnet99_ese_detectron2
_base_ = [
    '../_base_/models/panoptic-centermask_fpn.py',
    '../_base_/datasets/coco_panoptic_ms.py',
    '../_base_/schedules/sgd_3x.py',
    '../_base_/default_runtime.py',
]

model = dict(backbone=dict(arch='V-99'))
