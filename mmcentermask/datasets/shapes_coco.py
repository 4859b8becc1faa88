"""Writes a data set of drawn shapes as a COCO folder."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as mask_api

from ..structures import encode_segment_ids
from ..structures.rle import counts_of
from .shapes import CLASSES, DEFAULT, HARD, STUFF, Instance, draw

FORMAT = 4  # raise it whenever the same parameters would give other images
RECORD = 'shapes.json'
SPLITS = ('train2017', 'val2017')
MIN_SIZE = 32
_ZOOM = 4  # contours are traced on an enlarged mask, so that they follow pixel edges and not pixel centres
_RLE_CHANCE = 0.15


def _polygons(mask: np.ndarray) -> list[list[float]]:
    """Outlines of a mask in COCO's form, one a part; empty when the mask has a hole, which polygons cannot say."""
    x, y, w, h = cv2.boundingRect(mask)
    zoomed = cv2.resize(mask[y : y + h, x : x + w], None, fx=_ZOOM, fy=_ZOOM, interpolation=cv2.INTER_NEAREST)
    contours, tree = cv2.findContours(zoomed, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if any(parent >= 0 for parent in tree[0][:, 3]):
        return []
    polygons = []
    for contour in contours:
        points = cv2.approxPolyDP(contour, 1.5, True)[:, 0].astype(np.float64)
        if len(points) >= 3 and cv2.contourArea(contour) >= 4 * _ZOOM**2:
            points = (points + 0.5) / _ZOOM + (x, y)
            polygons.append(np.round(points, 2).ravel().tolist())
    return polygons


def segmentation(rng: np.random.Generator, instance: Instance) -> list | dict:
    """The COCO ``segmentation`` of an instance, ready for JSON.

    A crowd is an uncompressed RLE, as in COCO. Anything else is mostly polygons, one a visible part; about
    one in seven, and whatever polygons cannot say (holes, details of a pixel), is an RLE: compressed or not.
    """
    mask = instance.mask.astype(np.uint8)
    as_rle, compressed = rng.random(2) < (_RLE_CHANCE, 0.5)
    if not instance.crowd and not as_rle and (polygons := _polygons(mask)):
        drawn = decode(polygons, mask.shape)
        if (drawn & mask).sum() >= 0.95 * (drawn | mask).sum():
            return polygons
    rle = mask_api.encode(np.asfortranarray(mask))
    counts = rle['counts'].decode()
    if instance.crowd or not compressed:
        counts = counts_of(counts).tolist()
    return dict(size=list(rle['size']), counts=counts)


def _to_rle(form: list | dict, shape: tuple[int, int]) -> dict:
    if isinstance(form, list):
        return mask_api.merge(mask_api.frPyObjects(form, *shape))
    return mask_api.frPyObjects(form, *shape) if isinstance(form['counts'], list) else form


def decode(form: list | dict, shape: tuple[int, int]) -> np.ndarray:
    """The mask of a COCO ``segmentation``: uint8, shape (H, W), 0 or 1."""
    return mask_api.decode(_to_rle(form, shape))


def _annotation(number: int, image_id: int, instance: Instance, form: list | dict) -> dict:
    """The entry of an object for COCO's JSON."""
    rle = _to_rle(form, instance.mask.shape)
    return dict(
        id=number,
        image_id=image_id,
        category_id=instance.label + 1,
        iscrowd=int(instance.crowd),
        area=float(mask_api.area(rle)),
        bbox=mask_api.toBbox(rle).tolist(),
        segmentation=form,
    )


def _segments(image_id: int, instances: list[Instance], name: str) -> tuple[np.ndarray, dict]:
    """The segments of an image: the ids of its pixels, (H, W), int32, and the entry for COCO's JSON."""
    ids, segments = np.zeros(instances[0].mask.shape, np.int32), []
    for number, instance in enumerate(instances, 1):
        colour = number * 5123457 % 2**24  # colours that the eye tells apart; no two of the numbers have the same
        ids[instance.mask] = colour
        about = dict(id=colour, category_id=instance.label + 1, iscrowd=int(instance.crowd))
        box = [*map(int, cv2.boundingRect(instance.mask.astype(np.uint8)))]
        segments.append(dict(**about, bbox=box, area=int(instance.mask.sum())))
    return ids, dict(image_id=image_id, file_name=name, segments_info=segments)


def _write_split(folder: Path, split: str, number: int, params: dict, report: Callable[[str], None]) -> None:
    """Draws one split into ``folder`` and reports what was counted."""
    (folder / split).mkdir()
    level, panoptic = HARD if params['hard'] else DEFAULT, params.get('panoptic', False)
    images, annotations, segmented = [], [], []
    for index in range(number):
        # A stream of its own for each image: image 7 is the same whether 10 or 1000 are asked for.
        rng = np.random.default_rng([params['seed'], SPLITS.index(split), index])
        image, instances = draw(rng, params['size'], level, panoptic)
        height, width = image.shape[:2]
        name = f'{index + 1:012d}.jpg'
        code = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
        (folder / split / name).write_bytes(code.tobytes())
        images.append(dict(id=index + 1, file_name=name, width=width, height=height))
        if panoptic:
            ids, entry = _segments(index + 1, instances, name.replace('jpg', 'png'))
            target = folder / 'annotations' / f'panoptic_{split}' / entry['file_name']
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(encode_segment_ids(ids))
            segmented.append(entry)
        for instance in instances:
            if instance.label < len(CLASSES):
                form = segmentation(rng, instance)
                annotations.append(_annotation(len(annotations) + 1, index + 1, instance, form))
        if (index + 1) % 500 == 0:
            report(f'{split}: {index + 1} of {number} images')
    about = dict(description='Overlapping textured shapes, drawn by mmcentermask', version=str(FORMAT))
    content = dict(info=about, licenses=[], images=images, annotations=annotations)
    content['categories'] = [dict(id=i, name=name, supercategory='shape') for i, name in enumerate(CLASSES, 1)]
    file = folder / 'annotations' / f'instances_{split}.json'
    file.write_text(json.dumps(content, separators=(',', ':')) + '\n')
    if panoptic:
        names = [(name, 'shape', 1) for name in CLASSES] + [(name, 'ground', 0) for name, _, _ in STUFF]
        content['categories'] = [
            dict(id=i, name=name, supercategory=kind, isthing=thing) for i, (name, kind, thing) in enumerate(names, 1)
        ]
        content['annotations'] = segmented
        file.with_name(f'panoptic_{split}.json').write_text(json.dumps(content, separators=(',', ':')) + '\n')
    crowds = sum(annotation['iscrowd'] for annotation in annotations)
    report(f'{split}: {number} images, {len(annotations)} instances, {crowds} crowds')


def _check(params: dict) -> None:
    for key in ('train', 'val'):
        if params[key] < 0:
            raise ValueError(f'--{key} is {params[key]}, but a number of images is 0 or more.')
    if params['train'] + params['val'] == 0:
        raise ValueError('--train and --val are both 0: ask for at least one image.')
    if params['size'] < MIN_SIZE:
        raise ValueError(f'--size is {params["size"]}, but the long side of an image is at least {MIN_SIZE} pixels.')
    if params['seed'] < 0:
        raise ValueError(f'--seed is {params["seed"]}, but a seed is 0 or more.')


def _may_write(out: Path, params: dict, force: bool) -> bool:
    """False if ``out`` already is what was asked for; raises if something else is there."""
    if not out.exists():
        return True
    if not out.is_dir():
        raise FileExistsError(f'{out} is there already and is no folder: give another name.')
    if not any(out.iterdir()):
        return True
    try:
        record = json.loads((out / RECORD).read_text())
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict):
        # --force must never empty a folder that this program did not write.
        raise FileExistsError(f'{out} holds other files and no {RECORD}: give a new or empty folder.')
    if force:
        return True
    if record != params:
        raise FileExistsError(
            f'{out} holds shapes made with other options: give another folder, or --force to replace.'
        )
    complete = all(
        (out / 'annotations' / f'instances_{split}.json').is_file() and len(list((out / split).glob('*.jpg'))) == number
        for split, number in zip(SPLITS, (record['train'], record['val']), strict=True)
    )
    if not complete:
        raise FileExistsError(f'{out} lacks some of its files: make it anew with --force.')
    return False


def _move_in(made: Path, out: Path) -> None:
    """Puts a finished folder in its place, the old one staying until the new one is there."""
    if not out.exists() or not any(out.iterdir()):
        os.replace(made, out)
        return
    old = made.with_name(made.name + '-old')
    os.replace(out, old)
    try:
        os.replace(made, out)
    except OSError:
        os.replace(old, out)
        raise
    shutil.rmtree(old)


def make_shapes(
    out: str | os.PathLike,
    train: int,
    val: int,
    size: int = 192,
    seed: int = 0,
    hard: bool = False,
    force: bool = False,
    report: Callable[[str], None] = print,
    panoptic: bool = False,
) -> bool:
    """Writes a COCO folder of drawn shapes; the same arguments give the same bytes.

    The folder gets ``train2017/``, ``val2017/``, ``annotations/instances_{train,val}2017.json`` and ``shapes.json``,
    the record of the arguments. All is made in a folder beside ``out`` and renamed at the end, so ``out`` is either
    complete or untouched.

    Args:
        out: Folder to make.
        train: Number of training images.
        val: Number of held-out images.
        size: Long side of an image in pixels, at least 32.
        seed: Another number gives other images.
        hard: More, smaller and less visible objects.
        force: Replace a folder of shapes made with other arguments.
        report: Is given a line now and then about what is going on.
        panoptic: Draw them on stuff, and write ``annotations/panoptic_{train,val}2017.json`` and PNGs, too.

    Returns:
        True if the folder was written, False if it was there already, made with the same arguments.

    Raises:
        ValueError: If a number is out of range.
        FileExistsError: If ``out`` holds anything else.
        OSError: If it cannot be written.
    """
    params = dict(format=FORMAT, train=train, val=val, size=size, seed=seed, hard=bool(hard))
    if panoptic:
        params['panoptic'] = True
    _check(params)
    out = Path(out).resolve()
    if not _may_write(out, params, force):
        report(f'{out}: already there, made with the same options')
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f'.{out.name}-', dir=out.parent))
    try:
        work.chmod(0o755)  # mkdtemp closes its folder to everyone else
        (work / 'annotations').mkdir()
        for split, number in zip(SPLITS, (train, val), strict=True):
            _write_split(work, split, number, params, report)
        (work / RECORD).write_text(json.dumps(params, indent=2) + '\n')
        _move_in(work, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report(f'wrote {out}')
    return True
