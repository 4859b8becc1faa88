# tools/dist_train.sh configs/mixed/centermask_r50_gfl_fpn_ms-3x_coco.py 8 | 8 GPUs | hours: | AP:
# CenterMask with boxes by Generalized Focal Loss
_base_ = [
    '../_base_/models/centermask_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco_ms.py',
    '../_base_/schedules/sgd_3x.py',
    '../_base_/default_runtime.py',
]

model = dict(
    _base_.pop('backbones').resnet50,
    bbox_head=dict(
        _delete_=True,
        type='GFLHead',
        in_channels=256,
        feat_channels=256,
        stacked_convs=4,
        anchor_generator=dict(
            type='AnchorGenerator',
            ratios=[1.0],
            octave_base_scale=8,
            scales_per_octave=1,
            strides=[8, 16, 32, 64, 128],
        ),
        loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True, beta=2.0, loss_weight=1.0),
        loss_dfl=dict(type='DistributionFocalLoss', loss_weight=0.25),
        reg_max=16,
        loss_bbox=dict(type='GIoULoss', loss_weight=2.0),
    ),
    train_cfg=dict(assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1, debug=False),
)
