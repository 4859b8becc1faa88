"""Pictures and ground truth to time detectors with."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.structures import DetDataSample
from mmdet.structures.mask import PolygonMasks
from mmengine.config import Config
from mmengine.structures import InstanceData

__all__ = ['draw_picture', 'make_training_batch', 'test_pipeline']


def draw_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Draw a picture of coloured blots with noise, (height, width, 3), uint8."""
    random = np.random.RandomState(seed)
    blots = random.randint(0, 256, (height // 32 + 2, width // 32 + 2, 3)).astype(np.uint8)
    picture = cv2.resize(blots, (width, height), interpolation=cv2.INTER_LINEAR)
    return (picture.astype(int) + random.randint(-20, 21, picture.shape)).clip(0, 255).astype(np.uint8)


def test_pipeline(cfg: Config, picture: np.ndarray, images: int = 1) -> Callable[[], dict]:
    """Make a function that takes a picture in memory through the test pipeline of a config.

    Args:
        cfg (Config): With ``test_dataloader``.
        picture (np.ndarray): (H, W, 3), BGR, uint8.
        images (int): Take it so many times, for a batch. Defaults to 1.

    Returns:
        Callable: Gives what ``test_step`` takes.
    """
    steps = [dict(type='LoadImageFromNDArray')]
    for step in cfg.test_dataloader.dataset.pipeline:
        kind = step['type']
        if not (kind.startswith('Load') or kind.endswith('LoadImageFromFile')):
            steps.append(dict(step))
    pipeline = Compose(steps)

    def prepare() -> dict:
        packed = [pipeline(dict(img=picture, img_id=number)) for number in range(images)]
        return {name: [one[name] for one in packed] for name in ('inputs', 'data_samples')}

    return prepare


test_pipeline.__test__ = False  # no test of pytest's


def make_training_batch(prepare: Callable[[], dict], batch: int, objects: int, classes: int, seed: int = 0) -> dict:
    """Make a batch with ground truth: the same picture and the same ellipses, as shares of it, for every model.

    Args:
        prepare (Callable): As from ``test_pipeline``.
        batch (int): Number of images.
        objects (int): Objects in each.
        classes (int): Number of classes of the model.
        seed (int): Of the objects. Defaults to 0.

    Returns:
        dict: As ``train_step`` takes it.
    """
    random = np.random.RandomState(seed)
    angle = 2 * np.pi * np.arange(24) / 24
    inputs, samples = [], []
    for _ in range(batch):
        packed = prepare()
        image = packed['inputs'][0]
        height, width = image.shape[-2:]
        corner = random.uniform(0, 0.75, (objects, 2))
        side = random.uniform(0.05, 1, (objects, 2)) * (1 - corner)
        scale = np.array([width, height] * 2)
        boxes = np.concatenate([corner, corner + side], axis=1) * scale
        labels = random.randint(0, 2**31, objects) % classes
        polygons = []
        for x1, y1, x2, y2 in boxes:
            x = (x1 + x2) / 2 + (x2 - x1) / 2 * np.cos(angle)
            y = (y1 + y2) / 2 + (y2 - y1) / 2 * np.sin(angle)
            polygons.append([np.stack([x, y], axis=1).ravel()])
        sample = DetDataSample(metainfo=dict(packed['data_samples'][0].metainfo, img_id=0))
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(boxes).float(),
            labels=torch.from_numpy(labels),
            masks=PolygonMasks(polygons, height, width),
        )
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        inputs.append(image)
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)
