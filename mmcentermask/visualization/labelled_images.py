"""Draws held-out images, the truth and the prediction side by side: some, the worst and the best of them."""

from collections import defaultdict
from pathlib import Path
from typing import Any

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
        """Draw the image at a place twice, with its objects and with predictions as ``draw_instances`` takes them.

        Crowd regions are not drawn. Without a ``scale`` the image is brought to a long side of 480 pixels. Drawings are
        uint8 (H, W, 3), RGB.
        """
        info = self.dataset.get_data_info(place)
        with_mask = any(instance.get('mask') for instance in info.get('instances', []))  # else boxes are drawn
        pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='LoadInstanceAnnotations', with_mask=with_mask),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape')),
        ]
        item = Compose(pipeline)(info)
        sample = item['data_samples']
        image = np.ascontiguousarray(item['inputs'].permute(1, 2, 0).numpy()[..., ::-1])
        return _pair(image, sample.gt_instances, found, self.dataset.metainfo, Path(sample.img_path).name, scale)


def _pair(
    image: np.ndarray, truth: InstanceData, found: InstanceData, metainfo: dict, name: str, scale: float | None = None
) -> list[Titled]:
    """Draw one image twice, with the truth and with the prediction."""
    scale = scale or _LONG_SIDE / max(image.shape[:2])
    return [
        (draw_instances(image, instances, metainfo.get('classes'), metainfo.get('palette'), scale), f'{what}: {name}')
        for what, instances in (('truth', truth), ('prediction', found))
    ]


def draw_sheets(
    dataset: BaseDataset, results: dict[str, list[dict]], analysis: dict[str, Any], number: int
) -> dict[str, bytes]:
    """Draw ``number`` images a sheet, the annotated objects beside the predictions.

    Args:
        dataset (BaseDataset): That of the results.
        results (dict): Form -> predictions of COCO's form.
        analysis (dict): What ``analyze_results`` gives; predictions below its ``score_thr`` are not drawn.

    Returns:
        dict: ``worst.jpg``, ``best.jpg`` and ``examples.jpg`` (at equal steps through the dataset, not chosen).
    """
    images = LabelledImages(dataset)
    places = {images.id_of(i): i for i in range(len(dataset))}
    found = defaultdict(list)
    for entry in results.get('segm', results.get('bbox')):
        if entry['score'] >= analysis['score_thr']:
            found[places.get(entry['image_id'])].append(entry)
    worst = [image for image in analysis['images'] if image['id'] in places]
    # of those with equally good results the ones with most objects
    best = sorted(worst, key=lambda image: (-image['f1'], -image['found'], image['file_name']))
    chosen = {
        'worst.jpg': [places[image['id']] for image in worst[:number]],
        'best.jpg': [places[image['id']] for image in best[:number]],
        'examples.jpg': images.spread(number),
    }
    sheets = {}
    for name, those in chosen.items():
        tiles = [tile for i in those for tile in images.draw(i, _instances(found[i], dataset.cat2label))]
        sheet = _sheet([tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)])
        sheets[name] = cv2.imencode('.jpg', sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    return sheets


def _instances(entries: list[dict], labels: dict[int, int]) -> dict[str, Any]:
    """Bring predictions of COCO's form to what ``draw_instances`` takes."""
    entries = sorted(entries, key=lambda entry: -entry['score'])
    instances = dict(labels=[labels[e['category_id']] for e in entries], scores=[e['score'] for e in entries])
    if all('segmentation' in entry for entry in entries):
        instances['masks'] = [entry['segmentation'] for entry in entries]
    if all('bbox' in entry for entry in entries):
        boxes = np.array([entry['bbox'] for entry in entries], float).reshape(-1, 4)
        instances['bboxes'] = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    return instances
