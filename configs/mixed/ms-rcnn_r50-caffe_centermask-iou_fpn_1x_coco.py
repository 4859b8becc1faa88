# tools/dist_train.sh configs/mixed/ms-rcnn_r50-caffe_centermask-iou_fpn_1x_coco.py 8 | 8 GPUs | hours: | AP:
# Mask Scoring R-CNN with CenterMask's mask scoring, which leaves the box scores alone
_base_ = 'mmdet::ms_rcnn/ms-rcnn_r50-caffe_fpn_1x_coco.py'

custom_imports = dict(imports=['mmcentermask'], allow_failed_imports=False)

model = dict(roi_head=dict(mask_iou_head=dict(type='CenterMaskIoUHead')))
