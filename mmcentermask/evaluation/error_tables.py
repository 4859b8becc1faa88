"""Writes what ``analyze_results`` found as tables for a terminal."""

from typing import Any

from terminaltables import AsciiTable

from .coco_results import FORMS

__all__ = ['tables_of_errors']

_MOST = 5  # rows of a table where there may be many
_NAMES = {'bbox': 'box', 'segm': 'mask'}
_SCORES = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')
_OF_CLASS = ('AP', 'AP50', 'APs', 'APm', 'APl')
_OF_IMAGE = ('file_name', 'found', 'missed', 'wrong', 'f1')


def _cell(value: Any) -> str:
    if value is None:
        return '-'
    return f'{value:.3f}' if isinstance(value, float) else str(value)


def _table(*rows: list) -> str:
    return AsciiTable([list(map(_cell, row)) for row in rows]).table


def tables_of_errors(analysis: dict[str, Any]) -> str:
    """Write scores, errors, classes, confusions, mask scoring, images and doubtful labels of ``analyze_results``."""
    forms = [form for form in FORMS if form in analysis]
    last, names = analysis[forms[-1]], [_NAMES[form] for form in forms]
    scores = [[_NAMES[form], *[analysis[form]['scores'][name] for name in _SCORES]] for form in forms]
    errors = []
    for kind, error in last['tide'].items():
        of_forms = [analysis[form]['tide'][kind] for form in forms]
        errors.append([kind, *[of_form[key] for of_form in of_forms for key in ('ap', 'count')], error['meaning']])
    parts = [
        _table(['', *_SCORES], *scores),
        'What costs AP50 (TIDE): how much it would rise without these errors, and how many there are',
        _table(['error', *[f'{name} {what}' for name in names for what in ('AP50', 'number')], 'meaning'], *errors),
    ]
    classes = sorted((row for row in last['classes'] if row['AP'] is not None), key=lambda row: row['AP'])
    if len(classes) > 1:
        more = f' ({_MOST} worst, {_MOST} best)' if len(classes) > 2 * _MOST else ''
        shown = [*classes[:_MOST], *classes[-_MOST:]] if more else classes
        rows = [[row['name'], row['objects'], *[row[name] for name in _OF_CLASS]] for row in shown]
        parts += [f'{names[-1]} AP by class, the worst first{more}', _table(['class', 'objects', *_OF_CLASS], *rows)]
    *classes, _ = last['confusion']['names']
    counts = {(a, b): n for a, row in zip(classes, last['confusion']['matrix']) for b, n in zip(classes, row) if a != b}
    confused = sorted(([*pair, int(count)] for pair, count in counts.items() if count), key=lambda row: -row[2])
    if confused:
        title = f'Taken for another class most often (score from {analysis["score_thr"]:g} on)'
        parts += [title, _table(['annotated', 'predicted', 'number'], *confused[:_MOST])]
    calibration = ', '.join(f'{_NAMES[form]} {analysis[form]["calibration"]["error"]:.3f}' for form in forms)
    parts.append(f'Calibration error of scores (mean distance of score and share that is right): {calibration}')
    scoring = analysis['mask_scoring']
    if scoring is not None:
        parts.append(
            f'Mask scoring, on {scoring["number"]:,} masks: predicted IoU {scoring["predicted"]:.3f} in the mean, real '
            f'{scoring["real"]:.3f}, mean error {scoring["error"]:.3f}; correlation with the real IoU: predicted IoU '
            f'{_cell(scoring["correlation"])}, box score {_cell(scoring["correlation_of_box_score"])}; mask AP '
            f'{_cell(scoring["ap"])}, ranked by box scores {_cell(scoring["ap_by_box_score"])}'
        )
    rows = [[image[key] for key in _OF_IMAGE] for image in analysis['images'][:_MOST]]
    parts += ['The worst images', _table(['image', 'found', 'missed', 'wrong', 'F1'], *rows)]
    if analysis['suspects']:
        rows = [
            [s['file_name'], s['predicted'], s['annotated'] or 'nothing', f'{s["score"]:.2f}']
            for s in analysis['suspects'][:_MOST]
        ]
        title = f'Labels to look at ({len(analysis["suspects"])}): the model is sure of something else'
        parts += [title, _table(['image', 'predicted', 'annotated', 'score'], *rows)]
    return '\n'.join(parts)
