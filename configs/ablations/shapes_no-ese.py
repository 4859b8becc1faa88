# tools/dist_train.sh configs/ablations/shapes_no-ese.py 2 | 2 CPU cores | hours: | AP:
# VoVNet without channel attention; V-19 has no module for a residual connection to reach
_base_ = ['../centermask/centermask-lite_v19-slim-dw-ese_fpn_shapes.py', '../_base_/models/ablations.py']

model = _base_.pop('ablations')['vovnet-residual']
