# tools/dist_train.sh configs/ablations/coco_vovnet-se.py 8 | 8 GPUs | hours: | AP:
# Starts from VoVNetV2's weights, the nearest that are public, with norms that train; so must the baseline, to compare:
#   --cfg-options model.backbone.norm_eval=False model.backbone.norm_cfg.requires_grad=True
_base_ = ['../centermask/centermask_v39-ese_fpn_1x_coco.py', '../_base_/models/ablations.py']

model = _base_.pop('ablations')['vovnet-se']
