# What CenterMask-Lite changes: half of the convolutions and of the channels. A file of its own, for CenterMask2 and V1
lite = dict(
    neck=dict(out_channels=128),
    bbox_head=dict(in_channels=128, feat_channels=128, stacked_convs=2),
    roi_head=dict(
        mask_roi_extractor=dict(out_channels=128),
        mask_head=dict(num_convs=2, in_channels=128, conv_out_channels=128),
        mask_iou_head=dict(num_convs=2, in_channels=128, conv_out_channels=128),
    ),
)
