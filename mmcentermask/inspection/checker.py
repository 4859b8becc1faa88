"""Puts the checks of a data set together."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mmcentermask.apis.annotation_check import check_classes, check_num_classes, read_tables
from mmcentermask.errors import AnnotationError

from .entries import Objects, check_boxes, check_categories, check_images, check_objects
from .findings import Findings, printable
from .image_files import ImageReader, check_image_files
from .masks import check_masks

__all__ = ['Inspection', 'inspect_dataset']


class Inspection(NamedTuple):
    """A data set and what was found in it."""

    name: str  # of the splits
    ann_file: str
    folder: str  # of the images
    content: dict[str, Any]  # of the annotation file
    findings: Findings
    read: ImageReader


def inspect_dataset(
    name: str,
    ann_file: str,
    folder: str,
    classes: Sequence[str] | None = None,
    num_classes: int | None = None,
    pipeline: Sequence[dict] = (),
    annotated: bool = True,
    scored: bool = True,
    decode: bool = True,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Inspection:
    """Look for everything that is wrong with a COCO data set; nothing is written.

    Args:
        name (str): What to call it.
        ann_file (str): Its annotation file.
        folder (str): The folder of its images.
        classes (Sequence[str], optional): The config's class names. Defaults to None, all categories.
        num_classes (int, optional): Of the model; None is not checked. Defaults to None.
        pipeline (Sequence[dict]): Its transforms, which say how images are decoded. Defaults to ().
        annotated (bool): Whether there must be annotations. Defaults to True.
        scored (bool): Whether predictions are compared with them. Defaults to True.
        decode (bool): Decode each image; else look at its first and last bytes. Defaults to True.
        workers (int): Images to decode at a time. Defaults to 1.
        progress (Callable): Is given the number of images that were read, and of all.

    Returns:
        Inspection: What was found.

    Raises:
        MissingFileError: If there is no annotation file.
        AnnotationError: If it is not JSON or lacks a list.
    """
    content = read_tables(ann_file, annotated)
    content.setdefault('annotations', [])
    findings = Findings()
    images, sizes = check_images(content['images'], findings)
    categories = check_categories(content['categories'], findings)
    objects = check_objects(content['annotations'], images, sizes, categories, scored, findings)
    check_boxes(objects, findings)
    check_masks(content['annotations'], objects, findings)
    _check_classes(classes, num_classes, content, ann_file, objects, annotated, findings)
    reader = ImageReader(pipeline)
    usable = [i for i in range(len(sizes)) if sizes[i].any()]
    problems = check_image_files(
        [content['images'][i]['file_name'] for i in usable],
        [tuple(sizes[i].tolist()) for i in usable],
        folder,
        reader if decode else None,
        workers,
    )
    for done, (i, found) in enumerate(zip(usable, problems, strict=True), 1):
        for kind, detail in found:
            findings.add(kind, detail, image=i)
        progress(done, len(usable))
    return Inspection(name, ann_file, folder, content, findings, reader)


def _check_classes(
    classes: Sequence[str] | None,
    num_classes: int | None,
    content: dict[str, Any],
    ann_file: str,
    objects: Objects,
    annotated: bool,
    findings: Findings,
) -> None:
    """Compare the config's classes with the categories, and count the objects of each."""
    named = {
        i: entry['name']
        for i, entry in enumerate(content['categories'])
        if isinstance(entry, dict) and isinstance(entry.get('name'), str)
    }
    wanted = list(named.values()) if classes is None else classes
    try:
        check_classes(wanted, dict(categories=[dict(name=name) for name in named.values()]), ann_file)
        check_num_classes(num_classes, wanted, ann_file)
    except AnnotationError as error:
        findings.add('classes', printable(str(error), 1000))
    used = Counter(objects.category[objects.counted].tolist())
    present = Counter(objects.category.tolist())
    for i, name in named.items():
        if name not in wanted:
            findings.add('category-left-out', f'{present[i]} objects', category=i)
        elif annotated and not used[i]:
            detail = f'{present[i]} objects, none of them usable' if present[i] else ''
            findings.add('class-empty', detail, category=i)
