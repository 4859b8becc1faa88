# tools/dist_train.sh configs/mixed/centermask_r50_vfnet_fpn_ms-3x_coco.py 8 | 8 GPUs | hours: | AP:
# CenterMask with VarifocalNet's boxes
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
        type='CenterMaskVFNetHead',  # VFNetHead itself gives wrong proposals in training
        in_channels=256,
        feat_channels=256,
        stacked_convs=3,
        strides=[8, 16, 32, 64, 128],
        loss_cls=dict(
            type='VarifocalLoss', use_sigmoid=True, alpha=0.75, gamma=2.0, iou_weighted=True, loss_weight=1.0
        ),
        loss_bbox=dict(type='GIoULoss', loss_weight=1.5),
        loss_bbox_refine=dict(type='GIoULoss', loss_weight=2.0),
    ),
    train_cfg=dict(assigner=dict(type='ATSSAssigner', topk=9), allowed_border=-1, pos_weight=-1, debug=False),
)
