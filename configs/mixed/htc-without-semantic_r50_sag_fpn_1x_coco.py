# tools/dist_train.sh configs/mixed/htc-without-semantic_r50_sag_fpn_1x_coco.py 8 | 8 GPUs | hours: | AP:
# Hybrid Task Cascade with spatial attention-guided masks, their level chosen by Eq. 2
_base_ = 'mmdet::htc/htc-without-semantic_r50_fpn_1x_coco.py'

custom_imports = dict(imports=['mmcentermask'], allow_failed_imports=False)

sag_head = dict(type='HTCSAGMaskHead', num_convs=4, in_channels=256, conv_out_channels=256, num_classes=80)
model = dict(
    roi_head=dict(
        mask_roi_extractor=dict(type='AdaptiveRoIExtractor', k_min=2, k_max=5),  # P2..P5, which the neck gives
        mask_head=[dict(with_conv_res=False, **sag_head), sag_head, sag_head],  # one a stage
    )
)
