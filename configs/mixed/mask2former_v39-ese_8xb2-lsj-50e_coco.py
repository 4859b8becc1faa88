# tools/dist_train.sh configs/mixed/mask2former_v39-ese_8xb2-lsj-50e_coco.py 8 | 8 GPUs | hours: | AP:
# Mask2Former on VoVNetV2-39
_base_ = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py'

custom_imports = dict(imports=['mmcentermask'], allow_failed_imports=False)

model = dict(
    data_preprocessor=dict(mean=[103.53, 116.28, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    backbone=dict(
        _delete_=True,
        type='VoVNet',
        arch='V-39',
        init_cfg=dict(type='Pretrained', checkpoint='timm://ese_vovnet39b.ra_in1k'),
    ),
    panoptic_head=dict(in_channels=[256, 512, 768, 1024]),
)
