# Cityscapes panoptic: 8 things and 11 stuff, short side one of 800, 832, ..., 1024 of 1024, tested at 1024 x 2048.
# pip install mmcentermask[panoptic,cityscapes]; CITYSCAPES_DATASET=data/cityscapes csCreatePanopticImgs makes
#   gtFine/cityscapes_panoptic_{train,val}.json  gtFine/cityscapes_panoptic_{train,val}/*.png
_base_ = './coco_panoptic.py'

data_root = '{{$MMDET_DATASETS:data/cityscapes}}'  # or --cfg-options data_root=FOLDER

train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='RandomChoiceResize', scales=[(2048, short) for short in range(800, 1025, 32)], keep_ratio=True),
    *_base_.train_pipeline[3:],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=(2048, 1024), keep_ratio=True),
    *_base_.test_pipeline[2:],
]
train_dataloader = dict(
    batch_size=1,
    dataset=dict(
        type='CityscapesPanopticDataset',
        data_root=data_root,
        ann_file='gtFine/cityscapes_panoptic_train.json',
        data_prefix=dict(img='leftImg8bit/train/', seg='gtFine/cityscapes_panoptic_train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type='CityscapesPanopticDataset',
        data_root=data_root,
        ann_file='gtFine/cityscapes_panoptic_val.json',
        data_prefix=dict(img='leftImg8bit/val/', seg='gtFine/cityscapes_panoptic_val/'),
        pipeline=test_pipeline,
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=data_root + '/gtFine/cityscapes_panoptic_val.json',
    seg_prefix=data_root + '/gtFine/cityscapes_panoptic_val',
)
test_evaluator = val_evaluator
