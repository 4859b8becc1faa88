# tools/dist_train.sh configs/ablations/shapes_eq2-p3-p7.py 2 | 2 CPU cores | hours: | AP:
_base_ = ['../centermask/centermask-lite_v19-slim-dw-ese_fpn_shapes.py', '../_base_/models/ablations.py']

model = _base_.pop('ablations')['eq2-p3-p7']
