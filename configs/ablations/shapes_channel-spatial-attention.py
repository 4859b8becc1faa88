# tools/dist_train.sh configs/ablations/shapes_channel-spatial-attention.py 2 | 2 CPU cores | hours: | AP:
_base_ = ['../centermask/centermask-lite_v19-slim-dw-ese_fpn_shapes.py', '../_base_/models/ablations.py']

model = _base_.pop('ablations')['channel-spatial-attention']
model.roi_head.mask_head.attention[0].channels = 128
