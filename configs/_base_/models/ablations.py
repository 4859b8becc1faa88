# One choice a row, what it changes in `model`; a config of configs/ablations is a baseline and a row:
#   _base_ = ['../centermask/centermask_v39-ese_fpn_1x_coco.py', '../_base_/models/ablations.py']
#   model = _base_.pop('ablations')['no-sam']
# Channels are those of the COCO baseline.
# Other VoVNets have no public ImageNet weights: they start from those of VoVNetV2, whose statistics are not theirs.
__other_weights = dict(norm_cfg=dict(requires_grad=True), norm_eval=False)

ablations = {
    # attention of the mask head: none, another kernel, over channels (eSE), both, three dilations (not in the paper)
    'no-sam': dict(roi_head=dict(mask_head=dict(attention=None))),
    'sam-7x7': dict(roi_head=dict(mask_head=dict(attention=dict(type='SpatialAttention', kernel_size=7)))),
    'channel-attention': dict(roi_head=dict(mask_head=dict(attention=dict(type='EffectiveSE', channels=256)))),
    'channel-spatial-attention': dict(
        roi_head=dict(mask_head=dict(attention=[dict(type='EffectiveSE', channels=256), dict(type='SpatialAttention')]))
    ),
    'multi-scale-attention': dict(roi_head=dict(mask_head=dict(attention=dict(type='MultiScaleSpatialAttention')))),
    # RoI levels: Eq. 1 of FPN (224 pixels, k0 = 4), where RoIs below 224 pixels read P3, as k0 = 4 is P4
    'eq1': dict(roi_head=dict(mask_roi_extractor=dict(type='SingleRoIExtractor', finest_scale=112))),
    # Eq. 2 on other levels
    'eq2-p2-p5': dict(
        backbone=dict(out_indices=(0, 1, 2, 3)),
        neck=dict(in_channels=[256, 512, 768, 1024], num_outs=6),
        roi_head=dict(mask_roi_extractor=dict(k_min=2, featmap_strides=[4, 8, 16, 32])),
    ),
    'eq2-p3-p4': dict(roi_head=dict(mask_roi_extractor=dict(k_max=4, featmap_strides=[8, 16]))),
    'eq2-p3-p7': dict(roi_head=dict(mask_roi_extractor=dict(k_max=7, featmap_strides=[8, 16, 32, 64, 128]))),
    # masks ranked by the box score
    'no-mask-scoring': dict(roi_head=dict(mask_iou_head=None)),
    # VoVNet V1; residual connections without channel attention; SE (two layers, reduction 16)
    'vovnet-v1': dict(backbone=dict(__other_weights, attention=None, residual=False)),
    'vovnet-residual': dict(backbone=dict(__other_weights, attention=None)),
    'vovnet-se': dict(backbone=dict(__other_weights, attention='SE')),
    # classification
    'bce': dict(bbox_head=dict(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True))),
    # boxes: GIoU as mmdet has it, IoU, and L1 and smooth L1 on coordinates in units of the stride
    'giou': dict(bbox_head=dict(loss_bbox=dict(type='GIoULoss', loss_weight=1.0))),
    'iou': dict(bbox_head=dict(loss_bbox=dict(type='IoULoss', mode='linear', loss_weight=1.0))),
    'l1': dict(bbox_head=dict(loss_bbox=dict(type='BoxL1Loss', loss_weight=0.25))),
    'smooth-l1': dict(bbox_head=dict(loss_bbox=dict(type='BoxSmoothL1Loss', loss_weight=0.25))),
    # masks
    'dice': dict(roi_head=dict(mask_head=dict(loss_mask=dict(type='MaskDiceLoss')))),
    'bce-dice': dict(roi_head=dict(mask_head=dict(loss_dice=dict(type='MaskDiceLoss')))),
}
