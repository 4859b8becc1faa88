"""What the model tests share: a small CenterMask and ground truth for it, and the names of the published configs."""

import functools
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import PolygonMasks
from mmdet.utils import register_all_modules
from mmengine.config import Config, config, utils
from mmengine.logging import MMLogger
from mmengine.runner import runner
from mmengine.structures import InstanceData
from yapf.yapflib import yapf_api

import mmcentermask  # noqa: F401

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / 'configs' / 'centermask'

register_all_modules()
# for each base of mmdet mmengine reads the 102 metafiles of mmdet anew, nine tenths of the time that a config takes
utils.load = functools.cache(utils.load)
runner.collect_env = functools.cache(runner.collect_env)  # which compilers and GPUs there are


def _remember(format_code):
    known = {}

    def remembered(text, **options):
        if text not in known:
            known[text] = format_code(text, **options)
        return known[text]

    return remembered


# a run formats its config five times and once more with every checkpoint, which is half of the time of a short run; one
# dependency line imports the function when it needs it, the other one at once
yapf_api.FormatCode = config.FormatCode = _remember(yapf_api.FormatCode)
sys.path.append(str(Path(sys.prefix, 'export')))  # where `make test` puts what runs exported models


def published(folder=CONFIGS):
    """Sorted names of the configs that the folder's README.md links; other files there are a user's own."""
    return sorted(set(re.findall(r'\]\(([\w-]+)\.py\)', (folder / 'README.md').read_text())))


def small_config(num_classes=3):
    """The model part of CenterMask-Lite V-19-slim-dw, to be trained from scratch."""
    cfg = Config.fromfile(CONFIGS / 'centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py').model
    cfg.num_classes = num_classes
    cfg.backbone.norm_cfg.requires_grad = True
    cfg.backbone.norm_eval = False
    return cfg


def build(cfg):
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    return model


@pytest.fixture(autouse=True)
def _no_logger_of_another_test():
    """mmengine's loggers outlive the test that made them, and would write to the stream that pytest closed after it."""
    yield
    MMLogger._instance_dict.clear()


@pytest.fixture
def small_model():
    return build(small_config())


def sample(height, width, boxes=(), labels=(), padded=None):
    """A DetDataSample; the mask of each box is the box itself, as a polygon."""
    data_sample = DetDataSample()
    data_sample.set_metainfo(
        dict(
            img_id=0,
            img_shape=(height, width),
            ori_shape=(height, width),
            pad_shape=padded or (height, width),
            batch_input_shape=padded or (height, width),
            scale_factor=(1.0, 1.0),
        )
    )
    gt = InstanceData()
    gt.bboxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    gt.labels = torch.tensor(labels, dtype=torch.long)
    polygons = [[np.array([x1, y1, x2, y1, x2, y2, x1, y2], np.float64)] for x1, y1, x2, y2 in boxes]
    gt.masks = PolygonMasks(polygons, height, width)
    data_sample.gt_instances = gt
    data_sample.ignored_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long), masks=PolygonMasks([], height, width)
    )
    return data_sample
