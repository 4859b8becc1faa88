# The drawn dataset of tools/make_shapes.py --panoptic, at a long side of 128 pixels
_base_ = './shapes.py'

data_root = 'data/shapes-panoptic'
metainfo = dict(
    thing_classes=('ellipse', 'rectangle', 'triangle', 'star'),
    stuff_classes=('sky', 'grass', 'sand'),
    palette=[*_base_.metainfo.palette, (150, 200, 235), (90, 120, 50), (215, 190, 140)],
)

train_pipeline = [
    _base_.train_pipeline[0],
    dict(type='LoadPanopticPNGAnnotations', with_bbox=True, with_mask=True, with_seg=True),
    *_base_.train_pipeline[2:],
]
panoptic_data = dict(type='PanopticDataset', data_root=data_root, metainfo=dict(_delete_=True, **metainfo))
train_dataloader = dict(
    dataset=dict(
        ann_file='annotations/panoptic_train2017.json',
        data_prefix=dict(img='train2017/', seg='annotations/panoptic_train2017/'),
        pipeline=train_pipeline,
        **panoptic_data,
    )
)
val_dataloader = dict(
    dataset=dict(
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        **panoptic_data,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(
    _delete_=True,
    type='PanopticQualityMetric',
    ann_file=data_root + '/annotations/panoptic_val2017.json',
    seg_prefix=data_root + '/annotations/panoptic_val2017',
)
test_evaluator = val_evaluator
