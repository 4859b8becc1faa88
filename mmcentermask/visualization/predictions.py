"""Draws held-out images: the truth and the prediction side by side."""

from pathlib import Path

import cv2
import numpy as np
from mmdet.apis import inference_detector
from mmdet.registry import DATASETS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from PIL import Image, ImageDraw
from torch import nn

from mmcentermask.errors import InputError

from .drawing import draw_instances
from .style import font

_GAP, _TITLE, _TEXT = 16, 32, 18  # pixels: between images, above each, and of the letters there
_LONG_SIDE = 480  # pixels of an image in the sheet
_COLUMNS = 4  # two pairs of truth and prediction in a row
_PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape')),
]

Titled = tuple[np.ndarray, str]


def _sheet(rows: list[list[Titled]]) -> np.ndarray:
    """Put images into rows, each below its title; one pixel of an image stays one pixel."""
    columns = [max(row[c][0].shape[1] for row in rows if c < len(row)) for c in range(len(rows[0]))]
    heights = [max(image.shape[0] for image, _ in row) for row in rows]
    size = sum(columns) + _GAP * (len(columns) + 1), sum(heights) + (_TITLE + _GAP) * len(rows)
    sheet = Image.new('RGB', size, 'white')
    draw = ImageDraw.Draw(sheet)
    top = _TITLE
    for row, height in zip(rows, heights, strict=True):
        left = _GAP
        for (image, title), column in zip(row, columns, strict=False):
            face = font(title, _TEXT)
            while face.getlength(title) > column and len(title) > 1:
                title = '…' + title.removeprefix('…')[1:]  # the end of a name tells more than its beginning
            draw.text((left, top - _TITLE / 2), title, fill=(40, 40, 40), font=face, anchor='lm')
            sheet.paste(Image.fromarray(image), (left, top))
            left += column + _GAP
        top += height + _TITLE + _GAP
    return np.asarray(sheet)


def draw_predictions(
    model: nn.Module,
    dataset: dict,
    images: int = 8,
    score_thr: float = 0.4,
    scale: float | None = None,
) -> tuple[bytes, int]:
    """Draw images of a dataset, the truth beside the prediction.

    The images are not chosen: they are taken at equal steps through the dataset. Crowd regions, which count neither for
    nor against a prediction, are not drawn.

    Args:
        model (nn.Module): A detector from ``mmdet.apis.init_detector``.
        dataset (dict): Config of a COCO dataset, as in ``val_dataloader.dataset``; its pipeline is not used.
        images (int): How many images to show. Defaults to 8.
        score_thr (float): Predictions below this box score are not drawn. Defaults to 0.4.
        scale (float, optional): Of the images. Defaults to None, which brings each to a long side of 480 pixels.

    Returns:
        tuple: The sheet as PNG, and the number of images in the dataset.

    Raises:
        InputError: If the dataset has no images.
    """
    data = DATASETS.build(ConfigDict({**dataset, 'pipeline': _PIPELINE, 'test_mode': True}))
    if not len(data):
        raise InputError(f'the held-out dataset ({dataset.get("ann_file")}) has no images: give one that has.')
    images = min(images, len(data))
    tiles = []
    for index in np.linspace(0, len(data) - 1, images).round().astype(int).tolist():
        item = data[index]
        path = item['data_samples'].img_path
        image = np.ascontiguousarray(item['inputs'].permute(1, 2, 0).numpy()[..., ::-1])
        found = inference_detector(model, path).pred_instances.cpu()
        found = found[found.scores > score_thr]
        tiles += _pair(image, item['data_samples'].gt_instances, found, data.metainfo, Path(path).name, scale)
    rows = [tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)]
    return cv2.imencode('.png', _sheet(rows)[..., ::-1])[1].tobytes(), len(data)


def _pair(
    image: np.ndarray, truth: InstanceData, found: InstanceData, metainfo: dict, name: str, scale: float | None = None
) -> list[Titled]:
    """Draw one image twice, with the truth and with the prediction."""
    scale = scale or _LONG_SIDE / max(image.shape[:2])
    return [
        (draw_instances(image, instances, metainfo.get('classes'), metainfo.get('palette'), scale), f'{what}: {name}')
        for what, instances in (('truth', truth), ('prediction', found))
    ]
