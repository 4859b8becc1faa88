"""A data set, a config and a command small enough to run inside of a test."""

import importlib.util
import json
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from mmcentermask.datasets import CLASSES, make_shapes
from mmcentermask.visualization import CenterMaskVisualizer

ROOT = Path(__file__).parents[1]
TRAIN_ANN, VAL_ANN = 'annotations/instances_train2017.json', 'annotations/instances_val2017.json'

_CONFIG = """
_base_ = {base!r}
data_root = {data!r}
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadInstanceAnnotations'),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
common = dict(data_root=data_root, metainfo=dict(classes={classes!r}))
loader = dict(num_workers=0, persistent_workers=False)
# trained from nothing, so the norms must train too
model = dict(num_classes={num}, backbone=dict(norm_cfg=dict(type='BN', requires_grad=True), norm_eval=False))
train_dataloader = dict(batch_size=2, **loader, dataset=dict(**common, pipeline=train_pipeline))
val_dataloader = dict(**loader, dataset=dict(**common, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + '/annotations/instances_val2017.json')
test_evaluator = val_evaluator
train_cfg = dict(max_iters=2, val_interval=2)
param_scheduler = None
randomness = dict(seed=1)
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
"""


def make_data(folder):
    """Draw 6 images to train on and 2 to test on."""
    make_shapes(folder, 6, 2, 96, seed=1, report=lambda line: None)
    return folder


def write_config(path, data, classes=CLASSES):
    """Write a config that trains two iterations on ``data``."""
    base = str(ROOT / 'configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py')
    path.write_text(_CONFIG.format(base=base, data=str(data), classes=tuple(classes), num=len(classes)))
    return path


def find_something(folder):
    """Write a config and untrained weights that find 5 objects in any image; return the two paths."""
    config = write_config(folder / 'tiny.py', 'data')
    # untrained, everything scores about 0.1
    config.write_text(config.read_text() + "model['test_cfg'] = dict(score_thr=0.0, max_per_img=5)\n")
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    model.init_weights()
    torch.nn.init.constant_(model.bbox_head.conv_reg.bias, 1)  # boxes that are not empty
    meta = dict(dataset_meta=dict(classes=CLASSES))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'weights.pth')
    return str(config), str(folder / 'weights.pth')


def change_json(path, change):
    """Apply ``change`` to the contents of a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def damage(path):
    """Spoil a JPEG file where only the decoder finds out: header, size and ends stay, a Huffman table goes."""
    content = path.read_bytes()
    counts = content.index(b'\xff\xc4') + 5
    path.write_bytes(content[:counts] + b'\xff' * 16 + content[counts + 16 :])


def only_class(name):
    """Return a change that leaves one category, with its objects."""

    def change(content):
        content['categories'] = [c for c in content['categories'] if c['name'] == name]
        keep = {c['id'] for c in content['categories']}
        content['annotations'] = [a for a in content['annotations'] if a['category_id'] in keep]

    return change


def load_tool(path):
    """Import a command from its file, below the root of the repository."""
    spec = importlib.util.spec_from_file_location(f'tool_{Path(path).stem}', ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_tool(path, *args):
    """Run a command's main function in this process; return its exit code."""
    CenterMaskVisualizer._instance_dict.clear()  # or the log would go to the last run's folder
    return load_tool(path).main([str(arg) for arg in args])
