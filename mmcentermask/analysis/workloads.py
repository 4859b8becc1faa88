"""Images, ground truth and untrained models to time detectors with."""

import copy
import logging
from collections.abc import Callable

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import PolygonMasks
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmcentermask.models import CenterMaskHead

__all__ = ['build_untrained', 'draw_image', 'leave_best_boxes', 'make_training_batch', 'test_pipeline']


def draw_image(height: int, width: int) -> np.ndarray:
    """Draw an image of coloured blots with noise, (height, width, 3), uint8."""
    random = np.random.RandomState(0)
    blots = random.randint(0, 256, (height // 32 + 2, width // 32 + 2, 3)).astype(np.uint8)
    image = cv2.resize(blots, (width, height), interpolation=cv2.INTER_LINEAR)
    return (image.astype(int) + random.randint(-20, 21, image.shape)).clip(0, 255).astype(np.uint8)


def test_pipeline(cfg: Config, image: np.ndarray, batch: int = 1) -> Callable[[], dict]:
    """Make a function that takes an image (H, W, 3), BGR, uint8, ``batch`` times through the test pipeline of a config.

    What the function returns is for ``test_step``.
    """
    steps = [step for step in cfg.test_dataloader.dataset.pipeline if not step['type'].startswith('Load')]
    steps = [step for step in steps if not step['type'].endswith('LoadImageFromFile')]
    pipeline = Compose([dict(type='LoadImageFromNDArray'), *map(dict, steps)])

    def prepare() -> dict:
        packed = [pipeline(dict(img=image, img_id=number)) for number in range(batch)]
        return {name: [one[name] for one in packed] for name in ('inputs', 'data_samples')}

    return prepare


test_pipeline.__test__ = False  # no test of pytest's


def make_training_batch(prepare: Callable[[], dict], batch: int, objects: int, classes: int) -> dict:
    """Make a batch for ``train_step``: the same image and the same ellipses, as shares of it, for every model.

    Args:
        prepare (Callable): As from ``test_pipeline``.
        batch (int): Number of images.
        objects (int): Objects in each.
        classes (int): Number of classes of the model.
    """
    random = np.random.RandomState(0)
    angle = 2 * np.pi * np.arange(24) / 24
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inputs, samples = [], []
    for _ in range(batch):
        packed = prepare()
        image = packed['inputs'][0]
        height, width = image.shape[-2:]
        corner = random.uniform(0, 0.75, (objects, 2))
        side = random.uniform(0.05, 1, (objects, 2)) * (1 - corner)
        boxes = np.concatenate([corner, corner + side], axis=1) * np.array([width, height] * 2)
        labels = random.randint(0, 2**31, objects) % classes
        polygons = [[((box[:2] + box[2:]) / 2 + (box[2:] - box[:2]) / 2 * circle).ravel()] for box in boxes]
        sample = DetDataSample(metainfo=dict(packed['data_samples'][0].metainfo, img_id=0))
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(boxes).float(),
            labels=torch.from_numpy(labels),
            masks=PolygonMasks(polygons, height, width),
        )
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        sample.gt_sem_seg = PixelData(sem_seg=torch.full((1, height, width), classes))  # the first stuff
        inputs.append(image)
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def _drop_pretrained(cfg) -> None:
    """Take weights to load out of the config of a model, in place, so that nothing is downloaded."""
    if isinstance(cfg, dict):
        if isinstance(cfg.get('init_cfg'), dict) and cfg['init_cfg'].get('type') == 'Pretrained':
            cfg['init_cfg'] = None
        cfg = list(cfg.values())
    if isinstance(cfg, (list, tuple)):
        for value in cfg:
            _drop_pretrained(value)


def build_untrained(cfg: Config) -> nn.Module:
    """Build the model of a config with random weights; nothing is downloaded.

    A CenterMaskHead gets a bias in its distances, for boxes about 8 strides wide in the place of empty ones, and class
    scores far apart, for the best boxes to stay the best in int8; batch norms get statistics that do not look
    untrained, or frozen ones would refuse to be trained.

    Args:
        cfg (Config): With ``model``; not changed.

    Returns:
        nn.Module: In evaluation mode.
    """
    model_cfg = copy.deepcopy(cfg.model)
    _drop_pretrained(model_cfg)
    torch.manual_seed(0)
    model = MODELS.build(model_cfg)
    level = logging.root.manager.disable
    logging.disable(logging.INFO)  # a paragraph on each parameter
    try:
        model.init_weights()
    finally:
        logging.disable(level)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.fill_(1e-6)
        elif isinstance(module, CenterMaskHead):
            nn.init.constant_(module.conv_reg.bias, 4.0)  # in strides, or the logarithm of pixels
            nn.init.normal_(module.conv_cls.weight, std=0.1)
    return model.eval()


@torch.no_grad()
def leave_best_boxes(model: nn.Module, data: dict) -> int:
    """Set the score threshold of a model so that its best boxes on an image are left, as many as it may find.

    Args:
        model (nn.Module): In evaluation mode; its settings for testing are changed, where they have such a threshold.
        data (dict): As ``test_step`` takes it, one image.

    Returns:
        int: Number of boxes left.
    """
    roi_head, bbox_head = getattr(model, 'roi_head', None), getattr(model, 'bbox_head', None)
    # of the second stage, where it has boxes of its own
    box_cfg = getattr(roi_head if getattr(roi_head, 'with_bbox', False) else bbox_head, 'test_cfg', None) or {}
    if 'score_thr' in box_cfg:
        box_cfg.score_thr = 0.0
    found = model.test_step(data)[0].pred_instances
    if 'score_thr' in box_cfg and len(found) > 0:
        # the threshold is for the probability of the class, which is not below its product with the centerness
        power = getattr(bbox_head, 'score_power', 1.0)
        box_cfg.score_thr = found.scores.min().item() ** (1 / power) * (1 - 1e-5)
    return len(found)
