"""What stands behind AP: kinds of errors (TIDE), confusions, calibration, classes, sizes, images, and mask scoring."""

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from pycocotools import mask as mask_api

from ..datasets.coco import CocoReader
from ..errors import AnnotationError, InputError
from .coco_results import Results
from .fast_coco_eval import hotcoco_dataset

__all__ = ['analyze_results', 'calibrate_mask_scores', 'check_hotcoco']

_ERRORS = {  # TIDE's (Bolya et al., ECCV 2020)
    'Cls': 'wrong class',
    'Loc': 'right class, not precise enough',
    'Both': 'wrong class, and not precise enough',
    'Dupe': 'an object found before',
    'Bkg': 'nothing is there',
    'Miss': 'an object not found',
}

_SIZES = ('', 's', 'm', 'l')  # of objects: all, small, medium, large
_CURVES = (0.5, 0.75, 0.9)  # IoU of the precision-recall curves that are kept
_BINS = 10  # of a calibration
_IOU = 0.5  # from which on something is found
_SURE = 0.5  # score from which on a prediction makes a label doubtful


def check_hotcoco() -> None:
    """Check that there is what counts the errors; raise InputError if hotcoco is not installed."""
    if find_spec('hotcoco') is None:
        raise InputError(
            'explaining errors needs the package hotcoco, which is not installed: pip install mmcentermask[evaluation].'
        )


def analyze_results(
    truth: CocoReader, results: Results, classes: Sequence[str], score_thr: float = 0.3
) -> dict[str, Any]:
    """Explain results.

    Args:
        truth (CocoReader): The annotations.
        results (dict): Form (``'bbox'``, ``'segm'``) -> predictions of COCO's form.
        classes (sequence of str): Names of the classes.
        score_thr (float): Least score of what counts as found in ``confusion`` and ``images``, 0..1. Defaults to 0.3.

    Returns:
        dict: For JSON. ``images`` (of each its name, what is found, missed and wrong, and F1, worst first),
            ``suspects`` (predictions that make a label doubtful), ``mask_scoring`` as ``calibrate_mask_scores``, and
            for each form ``scores`` (COCO's AP and AR), ``tide`` (AP that each kind of errors costs), ``confusion``,
            ``calibration``, ``curves`` and ``classes``. AP is 0..1, or None where there is no object.

    Raises:
        InputError: If hotcoco is not installed.
        AnnotationError: If the ids of images or categories are no whole numbers.
    """
    check_hotcoco()
    try:
        reference = hotcoco_dataset(truth)
    except (ValueError, TypeError) as error:
        raise AnnotationError(
            f'the annotations cannot be analyzed ({error}): number images and categories from 0 on.'
        ) from error
    categories = sorted(truth.get_cat_ids(cat_names=list(classes)))
    found = dict(score_thr=score_thr, number_of_images=len(truth.imgs))
    for form, entries in results.items():
        evaluation = _evaluate(reference, entries, form, categories)
        found[form] = _explain(evaluation, truth, categories, score_thr)
        # predicted IoUs are not clipped, and a share cannot be more than 1
        clipped = [dict(entry, score=min(max(entry['score'], 0), 1)) for entry in entries]
        calibration = _evaluate(reference, clipped, form, categories).calibration(n_bins=_BINS, iou_threshold=_IOU)
        found[form]['calibration'] = dict(error=calibration['ece'], bins=calibration['bins'])
    # of masks where there are some
    sure = [entry for entry in entries if entry['score'] >= score_thr]
    found['images'], found['suspects'] = _by_image(_evaluate(reference, sure, form, categories), truth)
    found['mask_scoring'] = None
    if len(results) == 2:
        boxes, masks = results['bbox'], results['segm']
        found['mask_scoring'] = calibrate_mask_scores(truth, boxes, masks)
        if found['mask_scoring'] is not None:
            unranked = [dict(mask, score=box['score']) for box, mask in zip(boxes, masks, strict=True)]
            ap = _evaluate(reference, unranked, 'segm', categories).report()['metrics']['AP']
            found['mask_scoring'].update(ap=found['segm']['scores']['AP'], ap_by_box_score=_known(ap))
    return found


def _evaluate(reference: Any, entries: list[dict], form: str, categories: list[int]) -> Any:
    import hotcoco

    # masks without their boxes, from which their size would be taken
    entries = [{key: value for key, value in entry.items() if form == 'bbox' or key != 'bbox'} for entry in entries]
    evaluation = hotcoco.COCOeval(reference, reference.load_res(entries), form)
    evaluation.params.catIds = categories
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.run()
    return evaluation


def _known(ap: float) -> float | None:
    return None if ap == -1 or ap != ap else float(ap)


def _mean(precision: np.ndarray) -> float | None:
    """Average AP over what has objects; None where nothing has."""
    return _known(precision[precision > -1].mean()) if (precision > -1).any() else None


def _explain(evaluation: Any, truth: CocoReader, categories: list[int], score_thr: float) -> dict[str, Any]:
    # IoU threshold, recall, category, size, number of predictions
    precision = np.asarray(evaluation.eval['precision'])[..., -1]
    thresholds = np.round(evaluation.params.iouThrs, 2).tolist()
    names = [truth.cats[number]['name'] for number in categories]
    objects = [sum(not e.get('iscrowd') for e in truth.loadAnns(truth.getAnnIds(catIds=[n]))) for n in categories]
    tide = evaluation.tide_errors(pos_thr=_IOU)
    confusion = evaluation.confusion_matrix(iou_thr=_IOU, min_score=score_thr)
    classes = []
    for place, (name, number) in enumerate(zip(names, objects, strict=True)):
        aps = {f'AP{size}': _mean(precision[:, :, place, i]) for i, size in enumerate(_SIZES)}
        classes.append(dict(name=name, objects=number, AP50=_mean(precision[0, :, place, 0]), **aps))
    return dict(
        scores={name: _known(value) for name, value in evaluation.report()['metrics'].items()},
        tide={
            name: dict(count=tide['counts'][name], ap=tide['delta_ap'][name], meaning=meaning)
            for name, meaning in _ERRORS.items()
        },
        confusion=dict(names=[*confusion['cat_names'], 'nothing'], matrix=np.asarray(confusion['matrix']).tolist()),
        curves={
            f'{iou:g}': [_mean(precision[thresholds.index(iou), place, :, 0]) for place in range(precision.shape[1])]
            for iou in _CURVES
        },
        classes=classes,
    )


def _by_image(evaluation: Any, truth: CocoReader) -> tuple[list[dict], list[dict]]:
    found = evaluation.image_diagnostics(iou_thr=_IOU, score_thr=_SURE)
    images = []
    for number, image in truth.imgs.items():
        counts = found['img_summary'].get(number, dict(tp=0, fn=0, fp=0))
        right, missed, wrong = counts['tp'], counts['fn'], counts['fp']
        f1 = 2 * right / (2 * right + missed + wrong) if right + missed + wrong else 1.0
        images.append(dict(id=number, file_name=image['file_name'], found=right, missed=missed, wrong=wrong, f1=f1))
    images.sort(key=lambda image: (image['f1'], -image['missed'] - image['wrong'], image['file_name']))
    suspects = [
        dict(
            file_name=truth.imgs[error['image_id']]['file_name'],
            kind=error['type'],
            predicted=error['dt_category'],
            annotated=error['gt_category'],
            score=error['dt_score'],
        )
        for error in sorted(found['label_errors'], key=lambda error: -error['dt_score'])
    ]
    return images, suspects


def calibrate_mask_scores(truth: CocoReader, boxes: list[dict], masks: list[dict]) -> dict[str, Any] | None:
    """Compare the IoU that mask scoring predicts with the real one.

    As in training, those predictions count whose box has an IoU of 0.5 or more with an object of its class, and the IoU
    is that of the masks of both. ``boxes`` and ``masks`` are the same predictions, with the score of the box and with
    that of the mask, which is the one of the box times the predicted IoU.

    Returns:
        dict: ``number`` of predictions, mean IoU ``predicted`` and ``real``, mean absolute ``error``, the
            ``correlation`` with the real IoU of the predicted one, and of the box score (``correlation_of_box_score``),
            and ``bins`` of the predicted IoU; None where masks are scored as their boxes, or nothing is found.
    """
    groups = defaultdict(list)
    for box, mask in zip(boxes, masks, strict=True):
        groups[box['image_id'], box['category_id']].append((box, mask))
    rows = []
    for (image, category), both in groups.items():
        objects = truth.loadAnns(truth.getAnnIds(imgIds=[image], catIds=[category], iscrowd=False))
        if not objects:
            continue
        own = mask_api.iou([b['bbox'] for b, _ in both], [o['bbox'] for o in objects], [0] * len(objects))
        place, near = own.argmax(1), own.max(1) >= _IOU
        if not near.any():
            continue
        truths = [truth.annToRLE(entry) for entry in objects]
        for i in near.nonzero()[0]:
            box, mask = both[i]
            if box['score'] > 0:
                real = mask_api.iou([mask['segmentation']], [truths[place[i]]], [0]).item()
                rows.append((mask['score'] / box['score'], real, box['score']))
    if not rows or all(box['score'] == mask['score'] for box, mask in zip(boxes, masks, strict=True)):
        return None
    predicted, real, score = np.array(rows).T
    place = np.clip((predicted * _BINS).astype(int), 0, _BINS - 1)
    bins = [(predicted[place == b], real[place == b]) for b in np.unique(place)]
    return dict(
        number=len(rows),
        predicted=predicted.mean().item(),
        real=real.mean().item(),
        error=np.abs(predicted - real).mean().item(),
        correlation=_correlation(predicted, real),
        correlation_of_box_score=_correlation(score, real),
        bins=[dict(count=len(p), predicted=p.mean().item(), real=r.mean().item()) for p, r in bins],
    )


def _correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    return np.corrcoef(first, second)[0, 1].item() if first.std() > 0 and second.std() > 0 else None
