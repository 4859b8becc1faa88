"""Draws held-out images: the truth and the prediction side by side."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmdet.apis import inference_detector
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from pycocotools import mask as mask_api
from torch import nn

from mmcentermask.errors import InputError

from .png import png_of

_DPI = 100
_GAP, _TITLE = 14, 26  # pixels between images, and above each row for its titles
_PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape')),
]


def _enlarged(instances: InstanceData, scale: int) -> InstanceData:
    """A copy for an image enlarged ``scale`` times."""
    bboxes = torch.as_tensor(getattr(instances.bboxes, 'tensor', instances.bboxes)) * float(scale)
    masks = instances.masks
    if isinstance(masks, list):  # run-length codes
        masks = np.stack([mask_api.decode(mask) for mask in masks])
    masks = masks.to_ndarray() if hasattr(masks, 'to_ndarray') else np.asarray(masks)
    masks = masks.astype(np.uint8).repeat(scale, axis=1).repeat(scale, axis=2)
    # What is drawn beyond the image makes the visualizer shift and shrink the image.
    bboxes[:, 0::2] = bboxes[:, 0::2].clamp(0, masks.shape[2])
    bboxes[:, 1::2] = bboxes[:, 1::2].clamp(0, masks.shape[1])
    copy = InstanceData(bboxes=bboxes, labels=instances.labels, masks=masks)
    if 'scores' in instances:
        copy.scores = instances.scores
    return copy


def _pair(
    visualizer: DetLocalVisualizer, image: np.ndarray, truth: InstanceData, found: InstanceData, scale: int
) -> np.ndarray:
    """One image twice, with the truth and with the prediction: uint8, RGB, scale * H high."""
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    sides = []
    for instances, key in ((truth, 'gt_instances'), (found, 'pred_instances')):
        if len(instances):  # DetLocalVisualizer cannot draw an empty list of masks
            sample = DetDataSample(**{key: _enlarged(instances, scale)})
            gt = key == 'gt_instances'
            visualizer.add_datasample(key, image, sample, draw_gt=gt, draw_pred=not gt, pred_score_thr=0)
            sides.append(visualizer.get_image())
        else:
            sides.append(image)
    gap = np.full((image.shape[0], _GAP // 2, 3), 255, np.uint8)
    return np.concatenate([sides[0], gap, sides[1]], axis=1)


def _grid(pairs: list[np.ndarray], columns: int) -> bytes:
    """Puts pairs into rows, with titles, as PNG; one pixel of a pair stays one pixel."""
    columns = min(columns, len(pairs))
    cell = max(pair.shape[1] for pair in pairs) + 2 * _GAP
    rows = [pairs[start : start + columns] for start in range(0, len(pairs), columns)]
    heights = [max(pair.shape[0] for pair in row) + _TITLE + _GAP for row in rows]
    width, height = cell * columns, sum(heights)
    canvas = np.full((height, width, 3), 255, np.uint8)
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    FigureCanvasAgg(figure)
    top = 0
    for row, row_height in zip(rows, heights, strict=True):
        for column, pair in enumerate(row):
            left = column * cell + (cell - pair.shape[1]) // 2
            canvas[top + _TITLE : top + _TITLE + pair.shape[0], left : left + pair.shape[1]] = pair
            for part, title in ((0.25, 'truth'), (0.75, 'prediction')):
                x, y = left + part * pair.shape[1], top + _TITLE - 8
                figure.text(x / width, 1 - y / height, title, ha='center', fontsize=11)
        top += row_height
    figure.figimage(canvas, zorder=-1)
    return png_of(figure, dpi=_DPI)


def draw_predictions(
    model: nn.Module, dataset: dict, images: int = 8, score_thr: float = 0.4, scale: int = 2, columns: int = 2
) -> tuple[bytes, int]:
    """A grid of images of a data set, the truth beside the prediction.

    The images are not chosen: they are taken at equal steps through the data set. Crowd regions, which count neither
    for nor against a prediction, are not drawn.

    Args:
        model: A detector from ``mmdet.apis.init_detector``.
        dataset: Config of a COCO data set, as in ``val_dataloader.dataset``; its pipeline is not used.
        images: How many images to show.
        score_thr: Predictions below this box score are not drawn.
        scale: How many times to enlarge the images, so that small ones can be read.
        columns: How many pairs stand in a row.

    Returns:
        The picture as PNG, and the number of images in the data set.

    Raises:
        InputError: If the data set has no images.
    """
    data = DATASETS.build(ConfigDict({**dataset, 'pipeline': _PIPELINE, 'test_mode': True}))
    if not len(data):
        raise InputError(f'the held-out data set ({dataset.get("ann_file")}) has no images: give one that has.')
    visualizer = DetLocalVisualizer(name='mmcentermask_predictions', alpha=0.55)
    visualizer.dataset_meta = dict(classes=data.metainfo['classes'], palette=data.metainfo.get('palette', 'random'))
    images = min(images, len(data))
    pairs = []
    for index in np.linspace(0, len(data) - 1, images).round().astype(int).tolist():
        item = data[index]
        image = np.ascontiguousarray(item['inputs'].permute(1, 2, 0).numpy()[..., ::-1])
        found = inference_detector(model, item['data_samples'].img_path).pred_instances.cpu()
        found = found[found.scores > score_thr]
        pairs.append(_pair(visualizer, image, item['data_samples'].gt_instances, found, scale))
    return _grid(pairs, columns), len(data)
