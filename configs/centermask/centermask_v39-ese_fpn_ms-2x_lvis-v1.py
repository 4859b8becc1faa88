# CenterMask2 V-39 on LVIS v1
_base_ = ['../_base_/models/centermask_fpn.py', '../_base_/recipes/lvis-v1.py', '../_base_/recipes/sgd_2x.py']

# scores are low with this many classes, and LVIS counts 300 detections an image
model = dict(num_classes=1203, test_cfg=dict(score_thr=0.0001, max_per_img=300))
