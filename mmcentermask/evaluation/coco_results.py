"""Results in COCO's form: of a test run, or of the files that it wrote."""

import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MMLogger

from ..checkpoints.load import ArrayUnpickler
from ..datasets.coco import CocoReader, read_json
from ..datasets.masks import rle_problem
from ..datasets.values import is_id, is_number
from ..errors import AnnotationError, InputError, MissingFileError
from .instance_metrics import CocoInstanceMetric

__all__ = ['FORMS', 'Results', 'check_results', 'is_results_file', 'read_results', 'results_metric', 'written_results']

FORMS = ('bbox', 'segm')
Results = dict[str, list[dict[str, Any]]]
"""Form -> predictions, as COCO's result files have them; those of both forms in one order where both are there."""


def is_results_file(path: str) -> bool:
    """Whether a file name is that of results, and not of a checkpoint."""
    return Path(path).suffix in ('.pkl', '.pickle', '.json')


def results_metric(ann_file: str, folder: str | Path) -> CocoInstanceMetric:
    """Make a metric that writes predictions to a folder, for ``written_results``, and compares them with nothing."""
    return CocoInstanceMetric(ann_file=ann_file, format_only=True, outfile_prefix=str(Path(folder, 'results')))


def written_results(folder: str | Path) -> Results:
    """Read what a ``results_metric`` wrote."""
    files = {form: Path(folder, f'results.{form}.json') for form in FORMS}
    return {form: json.loads(file.read_bytes()) for form, file in files.items() if file.is_file()}


def read_results(path: str, truth: CocoReader, ann_file: str, classes: Sequence[str]) -> Results:
    """Read a file of predictions, checked against the annotations.

    Args:
        path (str): What ``tools/test.py --out`` wrote (``.pkl``, which runs no code), or COCO's JSON.
            Beside ``NAME.bbox.json`` a ``NAME.segm.json`` is read, too, and the other way round.
        truth (CocoReader): The annotations.
        ann_file (str): Their file.
        classes (sequence of str): Names of the classes, in the order of the labels in a ``.pkl``.

    Raises:
        InputError: If the file is not there, is empty, holds something else, or is of another data set.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(
            f'there is no file {path}: give a checkpoint, or results (.pkl, .bbox.json, .segm.json).'
        )
    if not file.stat().st_size:
        raise InputError(f'{path} is empty: let tools/test.py write it anew.')
    if file.suffix == '.json':
        forms = [form for form in FORMS if file.name.endswith(f'.{form}.json')]
        files = {form: file.with_name(file.name.replace(f'.{forms[0]}.', f'.{form}.')) for form in FORMS if forms}
        found = {form: read_json(other) for form, other in files.items() if other.is_file()}
        if not forms:
            content = read_json(file)
            masks = isinstance(content, list) and any(isinstance(e, dict) and 'segmentation' in e for e in content)
            found = {'segm' if masks else 'bbox': content}
    else:
        found = _unpickled(file, ann_file, classes)
    check_results(found, truth, path)
    return found


class _ResultsUnpickler(ArrayUnpickler):
    """Reads tensors, NumPy arrays and plain values, and runs nothing else that a file names."""

    _allowed = {
        **ArrayUnpickler._allowed,
        'torch._utils._rebuild_tensor_v2': torch._utils._rebuild_tensor_v2,
        'torch.storage._load_from_bytes': lambda content: torch.load(io.BytesIO(content), weights_only=True),
    }


def _unpickled(file: Path, ann_file: str, classes: Sequence[str]) -> Results:
    wanted = 'give what tools/test.py --out wrote'
    try:
        samples = _ResultsUnpickler(io.BytesIO(file.read_bytes())).load()
    except Exception as error:
        raise InputError(f'{file} cannot be read ({type(error).__name__}: {error}): {wanted}.') from error
    if not isinstance(samples, list) or not all(isinstance(s, dict) and 'pred_instances' in s for s in samples):
        raise InputError(f'{file} does not hold predictions of objects: {wanted}.')
    if not samples:
        raise InputError(f'{file} holds no predictions: {wanted}.')
    if any(
        sample['pred_instances']['labels'].numel() and sample['pred_instances']['labels'].max() >= len(classes)
        for sample in samples
    ):
        raise InputError(
            f'{file} has labels beyond the {len(classes)} classes of the config: give the config of that run.'
        )
    with tempfile.TemporaryDirectory() as folder:
        metric = results_metric(ann_file, folder)
        metric.dataset_meta = dict(classes=classes)
        metric.process({}, samples)
        MMLogger.get_current_instance().setLevel('WARNING')
        metric.evaluate(len(samples))
        return written_results(folder)


def check_results(results: Results, truth: CocoReader, path: str) -> None:
    """Check that results are some, and of the images of an annotation file; raise InputError if not."""
    for form, entries in results.items():
        wanted = 'give results of COCO, as tools/test.py writes them'
        if not isinstance(entries, list):
            raise InputError(f'{path} is no list of predictions: {wanted}.')
        if not entries:
            raise InputError(f'{path} holds no predictions: {wanted}, or train longer.')
        for place, entry in enumerate(entries):
            key = _unusable(entry, form, truth)
            if key is not None:
                raise InputError(f'{path}: prediction {place} has no {key} that can be used: {wanted}.')
        for key, known, what in (('image_id', truth.imgs, 'an image'), ('category_id', truth.cats, 'a category')):
            other = [entry[key] for entry in entries if entry[key] not in known]
            if other:
                raise AnnotationError(
                    f'{path} is of another data set: {len(other)} of its {len(entries)} predictions are of {what} that '
                    f'the annotations do not have ({other[0]} first): give the config of the data of that run.'
                )
    both = [[(entry['image_id'], entry['category_id']) for entry in entries] for entries in results.values()]
    if len(both) == 2 and both[0] != both[1]:
        raise InputError(
            f'{path}: the files of boxes and of masks do not hold the same predictions in one order: rename '
            'one of them to analyze the other.'
        )


def _unusable(entry: Any, form: str, truth: CocoReader) -> str | None:
    """Return a key of a prediction whose value cannot be used, None where there is none."""
    entry = entry if isinstance(entry, dict) else {}
    image = truth.imgs.get(entry['image_id']) if is_id(entry.get('image_id')) else None
    checks = dict(
        image_id=is_id,
        category_id=is_id,
        score=is_number,
        bbox=lambda box: isinstance(box, list) and len(box) == 4 and all(map(is_number, box)),
        segmentation=lambda mask: (
            isinstance(mask, dict) and not (image and rle_problem(mask, image['height'], image['width']))
        ),
    )
    checks.pop('bbox' if form == 'segm' and 'bbox' not in entry else 'segmentation' if form == 'bbox' else '', None)
    return next((key for key, right in checks.items() if not right(entry.get(key))), None)
