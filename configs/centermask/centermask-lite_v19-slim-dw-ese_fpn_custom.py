# python tools/train.py configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_custom.py | 1 GPU | hours: | AP:
# Your own data in COCO's format: change the four values below, and train. tools/make_config.py writes them for you.
#   data/custom/train/*.jpg  data/custom/val/*.jpg  data/custom/annotations/train.json  data/custom/annotations/val.json
_base_ = [
    '../_base_/models/centermask-lite_fpn.py',
    '../_base_/models/backbones.py',
    '../_base_/datasets/coco_lite-ms.py',
    '../_base_/schedules/adamw_scratch.py',
    '../_base_/default_runtime.py',
]

classes = ('balloon',)  # the names in the JSON, in your order; one class needs its comma
data_root = 'data/custom'
max_iters = 5000
load_from = None  # a converted checkpoint of the same model trains faster: its class predictors are made anew

model = _base_.pop('backbones').v19_slim_dw_scratch
model.num_classes = len(classes)
own_data = dict(data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=4, dataset=dict(ann_file='annotations/train.json', data_prefix=dict(img='train/'), **own_data)
)
val_dataloader = dict(dataset=dict(ann_file='annotations/val.json', data_prefix=dict(img='val/'), **own_data))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + '/annotations/val.json')
test_evaluator = val_evaluator
train_cfg = dict(max_iters=max_iters, val_interval=min(500, max_iters))
param_scheduler = _base_.param_scheduler
param_scheduler[0].end = param_scheduler[1].begin = max(1, min(200, max_iters // 10))
default_hooks = dict(checkpoint=dict(interval=min(500, max_iters)), logger=dict(interval=10))
