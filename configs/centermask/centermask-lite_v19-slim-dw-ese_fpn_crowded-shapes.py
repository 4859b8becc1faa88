# python tools/train.py configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_crowded-shapes.py | 1 CPU | hours: | AP:
# As on the drawn shapes of `make demo`, from scratch, but up to 2,000 objects of an image, and their candidates
_base_ = './centermask-lite_v19-slim-dw-ese_fpn_shapes.py'

model = dict(test_cfg=dict(max_per_img=2000, nms_pre=20000))
