"""Draws held-out images: the truth and the prediction side by side."""

from pathlib import Path

import cv2
import numpy as np
from mmengine.dataset import BaseDataset, Compose
from mmengine.structures import InstanceData
from PIL import Image, ImageDraw

from mmcentermask.errors import InputError

from .drawing import draw_instances
from .style import font

_GAP, _TITLE, _TEXT = 16, 32, 18  # pixels: between images, above each, and of the letters there
_LONG_SIDE = 480  # pixels of an image in the sheet
_COLUMNS = 4  # two pairs of truth and prediction in a row
_META = ('img_id', 'img_path', 'ori_shape', 'img_shape')

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


class LabelledImages:
    """Images of a dataset with their annotated objects, to draw predictions beside them.

    Args:
        dataset (BaseDataset): Of instances; its pipeline is not used.

    Raises:
        InputError: If the dataset has no images.
    """

    def __init__(self, dataset: BaseDataset) -> None:
        self.dataset = dataset
        if not len(dataset):
            raise InputError(f'the held-out dataset ({dataset.ann_file}) has no images: give one that has.')

    def id_of(self, place: int) -> int | str:
        """Return the id of an image."""
        return self.dataset.get_data_info(place)['img_id']

    def spread(self, number: int) -> list[int]:
        """Return the places of images at equal steps through the dataset, not chosen: ``number`` at most."""
        return np.linspace(0, len(self.dataset) - 1, min(number, len(self.dataset))).round().astype(int).tolist()

    def draw(self, place: int, found: InstanceData, scale: float | None = None) -> list[Titled]:
        """Draw an image twice, with its objects and with predictions; crowd regions are not drawn.

        Args:
            place (int): Of the image in the dataset.
            found (InstanceData): Predictions, as ``draw_instances`` takes them.
            scale (float, optional): Of the image. Defaults to None, which brings it to a long side of 480 pixels.

        Returns:
            list: Two drawings, uint8 (H, W, 3), RGB, each with its title.
        """
        item = self._load(place)
        sample = item['data_samples']
        image = np.ascontiguousarray(item['inputs'].permute(1, 2, 0).numpy()[..., ::-1])
        return _pair(image, sample.gt_instances, found, self.dataset.metainfo, Path(sample.img_path).name, scale)

    def _load(self, place: int) -> dict:
        info = self.dataset.get_data_info(place)
        with_mask = any(instance.get('mask') for instance in info.get('instances', []))  # else boxes are drawn
        pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='LoadInstanceAnnotations', with_mask=with_mask),
            dict(type='PackDetInputs', meta_keys=_META),
        ]
        return Compose(pipeline)(info)


def sheet_of(tiles: list[Titled]) -> bytes:
    """Put drawings into rows of two pairs each, as JPEG."""
    rows = [tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)]
    return cv2.imencode('.jpg', _sheet(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()


def _pair(
    image: np.ndarray, truth: InstanceData, found: InstanceData, metainfo: dict, name: str, scale: float | None = None
) -> list[Titled]:
    """Draw one image twice, with the truth and with the prediction."""
    scale = scale or _LONG_SIDE / max(image.shape[:2])
    return [
        (draw_instances(image, instances, metainfo.get('classes'), metainfo.get('palette'), scale), f'{what}: {name}')
        for what, instances in (('truth', truth), ('prediction', found))
    ]
