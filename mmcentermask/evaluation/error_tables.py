"""Writes what ``analyze_results`` found as tables for a terminal."""

from typing import Any

from terminaltables import AsciiTable

from .coco_results import FORMS

__all__ = ['tables_of_errors']

_NAMES = {'bbox': 'box', 'segm': 'mask'}
_SCORES = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'


def _table(*rows: list) -> str:
    return AsciiTable([list(map(str, row)) for row in rows]).table


def tables_of_errors(analysis: dict[str, Any], most: int = 5) -> str:
    """Write scores, errors, classes, confusions, mask scoring, images and doubtful labels.

    Args:
        analysis (dict): As ``analyze_results`` gives it.
        most (int): Rows of a table where there may be many. Defaults to 5.

    Returns:
        str: Lines.
    """
    forms = [form for form in FORMS if form in analysis]
    last = analysis[forms[-1]]
    parts = [
        _table(
            ['', *_SCORES],
            *[[_NAMES[form], *[_number(analysis[form]['scores'][s]) for s in _SCORES]] for form in forms],
        ),
        'What costs AP50 (TIDE): how much it would rise without these errors, and how many there are',
        _table(
            ['error', *[f'{_NAMES[form]} {what}' for form in forms for what in ('AP50', 'number')], 'meaning'],
            *[
                [kind, *[cell for form in forms for cell in _costs(analysis[form]['tide'][kind])], error['meaning']]
                for kind, error in last['tide'].items()
            ],
        ),
    ]
    classes = sorted((row for row in last['classes'] if row['AP'] is not None), key=lambda row: row['AP'])
    if len(classes) > 1:
        shown = classes if len(classes) <= 2 * most else [*classes[:most], *classes[-most:]]
        columns = ('AP', 'AP50', 'APs', 'APm', 'APl')
        parts += [
            f'{_NAMES[forms[-1]]} AP by class, the worst first'
            + ('' if shown is classes else f' ({most} worst, {most} best)'),
            _table(
                ['class', 'objects', *columns],
                *[[r['name'], r['objects'], *[_number(r[c]) for c in columns]] for r in shown],
            ),
        ]
    confused = _confused(last['confusion'])[:most]
    if confused:
        title = f'Taken for another class most often (score from {analysis["score_thr"]:g} on)'
        parts += [title, _table(['annotated', 'predicted', 'number'], *confused)]
    calibration = ', '.join(f'{_NAMES[form]} {analysis[form]["calibration"]["error"]:.3f}' for form in forms)
    parts.append(f'Calibration error of scores (mean distance of score and share that is right): {calibration}')
    scoring = analysis['mask_scoring']
    if scoring is not None:
        parts.append(
            f'Mask scoring, on {scoring["number"]:,} masks: predicted IoU {scoring["predicted"]:.3f} in the mean, real '
            f'{scoring["real"]:.3f}, mean error {scoring["error"]:.3f}; correlation with the real IoU: predicted IoU '
            f'{_number(scoring["correlation"])}, box score {_number(scoring["correlation_of_box_score"])}; mask AP '
            f'{_number(scoring["ap"])}, ranked by box scores {_number(scoring["ap_by_box_score"])}'
        )
    columns = ('found', 'missed', 'wrong')
    rows = [
        [image['file_name'], *[image[c] for c in columns], _number(image['f1'])] for image in analysis['images'][:most]
    ]
    parts += ['The worst images', _table(['image', *columns, 'F1'], *rows)]
    if analysis['suspects']:
        rows = [
            [s['file_name'], s['predicted'], s['annotated'] or 'nothing', f'{s["score"]:.2f}']
            for s in analysis['suspects'][:most]
        ]
        title = f'Labels to look at ({len(analysis["suspects"])}): the model is sure of something else'
        parts += [title, _table(['image', 'predicted', 'annotated', 'score'], *rows)]
    return '\n'.join(parts)


def _costs(error: dict[str, Any]) -> list[str]:
    return [f'{error["ap"]:.3f}', str(error['count'])]


def _confused(confusion: dict[str, Any]) -> list[tuple[str, str, int]]:
    names, matrix = confusion['names'][:-1], confusion['matrix']
    cells = [
        (names[i], names[j], int(matrix[i][j]))
        for i in range(len(names))
        for j in range(len(names))
        if i != j and matrix[i][j]
    ]
    return sorted(cells, key=lambda cell: -cell[2])
