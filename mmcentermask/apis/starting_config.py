"""Writes a short config to begin with for a dataset in COCO's format."""

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..atomic_write import atomic_write
from ..datasets.coco import read_json
from ..errors import AnnotationError, InputError, MissingFileError
from ..model_index import find_config

__all__ = ['DEFAULT_BASE', 'CocoExport', 'find_exports', 'write_starting_config']

DEFAULT_BASE = 'centermask-lite_v19-slim-dw-ese_fpn_custom'

_KEYS = dict(images={'id', 'file_name'}, annotations={'image_id', 'category_id'}, categories={'id', 'name'})
_HELD_OUT = ('val', 'valid', 'validation', 'test')
_COCO_HINTS = dict(
    labelme="labelme's examples/instance_segmentation/labelme2coco.py makes COCO JSON of a folder of them",
    cvat='in CVAT, export the task or project as "COCO 1.0"',
    label_studio='in Label Studio, export as "COCO"',
)

_CONFIG = """\
# {command} | 1 GPU | hours: | AP:
# Made from {source}: {images} images to train on, {val_images} to validate on.
# The import is for programs that have not imported mmcentermask yet, such as mmdet's own tools.
_base_ = __import__('mmcentermask') and 'mmcentermask::centermask/{base}.py'

classes = {classes!r}
data_root = {data_root!r}
max_iters = {max_iters}  # about {epochs} times through the images, {batch_size} an iteration
load_from = None  # a converted checkpoint of the same model trains faster: its class predictors are made anew

model = dict(num_classes=len(classes))
train_dataloader = dict(
    batch_size={batch_size},
    dataset=dict(
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file={train_ann_file!r},
        data_prefix=dict(img={train_folder!r}),
    ),
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        metainfo=dict(classes=classes),
        ann_file={val_ann_file!r},
        data_prefix=dict(img={val_folder!r}),
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file={scored_ann_file})
test_evaluator = val_evaluator

warm_up = max(1, min(1000, max_iters // 10))
train_cfg = dict(max_iters=max_iters, val_interval=max(1, max_iters // 10))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=warm_up, eta_min_ratio=0.01),
]
auto_scale_lr = dict(enable=True)  # the base's learning rate is for {base_batch_size} images an iteration
default_hooks = dict(checkpoint=dict(interval=max(1, max_iters // 10)), logger=dict(interval=10))
"""


@dataclass
class CocoExport:
    """An annotation file in COCO's format and the folder of its images, both absolute."""

    path: Path
    content: dict[str, Any]
    folder: Path


def find_exports(path: Path, images: Path | None = None) -> tuple[CocoExport, CocoExport | None]:
    """Find what to train on and what, if anything, to validate on.

    Args:
        path (Path): A COCO annotation file, or a folder of an export of CVAT, Label Studio, Roboflow or COCO itself. In
            a folder, a file is held out if it or its folder is named after validation or testing.
        images (Path, optional): Folder of the images. Found by itself by default.

    Raises:
        MissingFileError: If there is no annotation file, or the images are not found.
        AnnotationError: If there are annotations in another format, or several files to train on.
    """
    path = path.resolve()
    if path.is_file():
        return _export(path, _read(path), images), None
    if not path.is_dir():
        raise MissingFileError(f'there is no file or folder {path}: give the annotations that your tool exported.')
    train, val, other = [], [], None
    for file in sorted(file for pattern in ('*.json', '*/*.json', '*.xml', '*/*.xml') for file in path.glob(pattern)):
        try:
            content = _read(file)
        except AnnotationError as error:
            other = other or error
            continue
        words = {*file.stem.lower().replace('2017', '').replace('-', '_').split('_'), file.parent.name.lower()}
        (val if words.intersection(_HELD_OUT) else train).append((file, content))
    if not train and not val:
        raise other or MissingFileError(f'there is no annotation file in {path}: give a COCO JSON file.')
    if len(train) > 1:
        names = ', '.join(str(file.relative_to(path)) for file, _ in train)
        raise AnnotationError(f'{path} has several annotation files to train on ({names}): give one of them.')
    if not train:
        train = [val.pop(0)]
    val.sort(key=lambda item: 'val' not in str(item[0].relative_to(path)))  # before those to test on
    return _export(*train[0], images), _export(*val[0], images) if val else None


def _read(path: Path) -> dict[str, Any]:
    """Read a COCO file; an annotation file of another kind is refused by its name."""
    if path.suffix == '.xml':
        kind = 'CVAT' if '<annotations' in path.read_text(encoding='utf-8', errors='replace')[:2000] else 'another'
        raise AnnotationError(f"{path} is in {kind} XML format, not COCO's JSON: {_COCO_HINTS['cvat']}.")
    content = read_json(path)
    if isinstance(content, dict) and 'shapes' in content and 'imagePath' in content:
        raise AnnotationError(f"{path} is in labelme's format, an image a file: {_COCO_HINTS['labelme']}.")
    if isinstance(content, list) and content and isinstance(content[0], dict) and 'data' in content[0]:
        raise AnnotationError(f"{path} is in Label Studio's own format: {_COCO_HINTS['label_studio']}.")
    missing = [name for name in _KEYS if not isinstance(content, dict) or not isinstance(content.get(name), list)]
    if missing:
        raise AnnotationError(
            f"{path} is not in COCO's format, as it has no list {missing[0]!r}: {_COCO_HINTS['cvat']}; "
            f'{_COCO_HINTS["label_studio"]}; {_COCO_HINTS["labelme"]}.'
        )
    for name, keys in _KEYS.items():
        for i, entry in enumerate(content[name]):
            if not isinstance(entry, dict) or not entry.keys() >= keys:
                raise AnnotationError(
                    f'{name}[{i}] of {path} lacks {" or ".join(sorted(keys))}: export it anew as COCO.'
                )
    if not content['images']:
        raise AnnotationError(f'{path} names no image: export a task that has images.')
    return content


def _export(path: Path, content: dict[str, Any], images: Path | None) -> CocoExport:
    """Find the folder that has most of the first images, of those where exports put them."""
    names = [str(image.get('file_name')) for image in content['images'][:100]]
    if images is not None:
        candidates = [images.resolve()]
    else:
        roots = [path.parent, path.parent.parent]
        stem = path.stem.replace('instances_', '').replace('_annotations.coco', '')
        candidates = [root / name for root in roots for name in ('', 'images', stem, f'images/{stem}')]
    hits = {folder: sum((folder / name).is_file() for name in names) for folder in candidates}
    best = max(candidates, key=hits.get)
    if not hits[best]:
        raise MissingFileError(
            f'{names[0]}, the first image of {path}, is not in {", ".join(map(str, candidates))}: name the folder of '
            'the images with --images.'
        )
    return CocoExport(path, content, best)


def _hold_out(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Split into nine tenths to train on and one to validate on, images at random but always the same."""
    ids = [image['id'] for image in content['images']]
    held_out = set(random.Random(0).sample(ids, max(1, len(ids) // 10)))
    return [
        {
            **content,
            'images': [image for image in content['images'] if (image['id'] in held_out) == chosen],
            'annotations': [item for item in content['annotations'] if (item['image_id'] in held_out) == chosen],
        }
        for chosen in (False, True)
    ]


def _classes(*contents: dict[str, Any]) -> tuple[tuple[str, ...], list[str]]:
    """Names of the categories that have objects, in the file's order, and of those that have none."""
    used = {item.get('category_id') for content in contents for item in content['annotations']}
    names = [category['name'] for category in contents[0]['categories'] if category['id'] in used]
    unused = [category['name'] for category in contents[0]['categories'] if category['id'] not in used]
    for name in names:
        if not isinstance(name, str) or names.count(name) > 1:
            raise AnnotationError(f'the category name {name!r} is no text or stands there twice: rename it.')
    if not names:
        raise AnnotationError('no annotation belongs to a category: there is nothing to learn.')
    return tuple(names), unused


def write_starting_config(
    out: Path, train: CocoExport, val: CocoExport | None = None, base: str = DEFAULT_BASE, batch_size: int = 4
) -> list[str]:
    """Write the config; without ``val`` also two annotation files beside it, into which ``train`` is split, 9 to 1.

    Args:
        out (Path): The config to write, a ``.py`` file.
        train (CocoExport): What to train on.
        val (CocoExport, optional): What to validate on.
        base (str): A config of configs/centermask for COCO. Defaults to CenterMask-Lite V-19-slim-dw from scratch.
        batch_size (int): Images an iteration on one GPU. Defaults to 4.

    Returns:
        list[str]: What a user must know, a sentence each.

    Raises:
        InputError: If ``base`` is no such config, the categories cannot be used, or a file cannot be written.
    """
    configs = Path(find_config(DEFAULT_BASE)).parent
    bases = [DEFAULT_BASE, *sorted(file.stem for file in configs.glob('centermask*_coco.py'))]
    if base not in bases:
        raise InputError(f'--base is {base}: give one of {", ".join(bases)}.')
    if out.suffix != '.py':
        raise InputError(f'{out} is no name of a config: give one that ends in .py.')
    told, written, source = [], {}, train.path
    if val is not None:
        told.append(f'validates on {val.path}.')
    elif len(train.content['images']) == 1:
        val = train
        told.append('there is one image only: it is validated on what it is trained on, which says nothing.')
    else:
        contents = _hold_out(train.content)
        paths = [out.resolve().with_name(f'{out.stem}_{split}.json') for split in ('train', 'val')]
        written = dict(zip(paths, contents, strict=True))
        train, val = (CocoExport(path, content, train.folder) for path, content in written.items())
        told.append(
            f'{source} has no validation set: {len(val.content["images"])} of its images, taken at random, are held '
            f'out ({val.path}), and {len(train.content["images"])} are trained on ({train.path}).'
        )
    classes, unused = _classes(train.content, val.content)
    if unused:
        told.append(f'left out, as nothing is annotated with them: {", ".join(map(str, unused))}.')
    images = len(train.content['images'])
    max_iters = min(90000, max(2000, round(48 * images / batch_size, -2)))
    root = Path(os.path.commonpath([train.folder, val.folder]))

    def below(path: Path) -> str:
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    def prefix(folder: Path) -> str:
        return '' if folder == root else f'{below(folder)}/'

    ann_file = below(val.path)
    text = _CONFIG.format(
        command=f'python tools/train.py {out.name}',
        source=source.name,
        images=images,
        val_images=len(val.content['images']),
        base=base,
        classes=classes,
        data_root=str(root),
        max_iters=int(max_iters),
        epochs=round(max_iters * batch_size / images),
        batch_size=batch_size,
        train_ann_file=below(train.path),
        train_folder=prefix(train.folder),
        val_ann_file=ann_file,
        val_folder=prefix(val.folder),
        scored_ann_file=f'data_root + {"/" + ann_file!r}' if val.path.is_relative_to(root) else repr(ann_file),
        base_batch_size=Config.fromfile(configs / f'{base}.py').auto_scale_lr.base_batch_size,
    )
    for path, content in written.items():
        with atomic_write(path, 'choose another place with --out') as file:
            file.write(json.dumps(content).encode())
    with atomic_write(out, 'choose another place with --out') as file:
        file.write(text.encode())
    return [f'{len(classes)} classes, {images} images to train on, {int(max_iters)} iterations.', *told]
