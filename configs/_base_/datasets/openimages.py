# Instances of Open Images, or of any data with crowds, in COCO's format (mmdet's class for Open Images has no masks).
#   train/*.jpg  validation/*.jpg  annotations/{train,validation}.json  annotations/classes.txt
# classes.txt has a class a line, in the order of the JSON's categories.
# A group-of box is an annotation with "iscrowd": 1 and the box as polygon, [[x1, y1, x2, y1, x2, y2, x1, y2]]:
#   in training it is no object, and CrowdCenterMaskHead learns nothing about its class inside of it;
#   in evaluation a detection inside of it is neither right nor wrong.
# Evaluation is COCO's: it knows no hierarchy of classes, so a box must carry each class that it shall count for.
_base_ = './coco.py'

data_root = '{{$MMDET_DATASETS:data/OpenImages}}'  # or --cfg-options data_root=FOLDER
metainfo = dict(classes=data_root + '/annotations/classes.txt', palette=None)

train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='RandomChoiceResize', scales=[(1333, short) for short in range(640, 801, 32)], keep_ratio=True),
    *_base_.train_pipeline[3:],
]
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=metainfo,
        ann_file='annotations/validation.json',
        data_prefix=dict(img='validation/'),
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + '/annotations/validation.json')
test_evaluator = val_evaluator
