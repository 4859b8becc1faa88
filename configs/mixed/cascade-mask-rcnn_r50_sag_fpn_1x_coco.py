# tools/dist_train.sh configs/mixed/cascade-mask-rcnn_r50_sag_fpn_1x_coco.py 8 | 8 GPUs | hours: | AP:
# Cascade Mask R-CNN with spatial attention-guided masks, their level chosen by Eq. 2
_base_ = 'mmdet::cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco.py'

custom_imports = dict(imports=['mmcentermask'], allow_failed_imports=False)

model = dict(
    roi_head=dict(
        mask_roi_extractor=dict(type='AdaptiveRoIExtractor', k_min=2, k_max=5),  # P2..P5, which the neck gives
        mask_head=dict(type='SAGMaskHead'),
    )
)
