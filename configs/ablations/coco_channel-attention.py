# tools/dist_train.sh configs/ablations/coco_channel-attention.py 8 | 8 GPUs | hours: | AP:
_base_ = ['../centermask/centermask_v39-ese_fpn_1x_coco.py', '../_base_/models/ablations.py']

model = _base_.pop('ablations')['channel-attention']
