"""Writes a training run as one HTML page that needs nothing beside it."""

import base64
import json
import re
from pathlib import Path
from statistics import median
from typing import Any

import cv2

from ..errors import InputError
from .charts import FORM_NAMES, draw_confusion, draw_curves, draw_errors, svg_of
from .run_log import RunLog, read_run_log, trained_runs

SCORES = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')
_EXAMPLE = re.compile(r'example_(\d+)_(\d+)\.png')
_STEPS = 5  # columns of examples
_WIDTH = 480  # pixels of an example, of the annotated and the predicted objects together
# lines of the log, and what to call them
_FACTS = {
    'Model': r' - INFO - Model: (.*)',
    'Training data': r' - INFO - Trains on: (.*)',
    'Validation data': r' - INFO - Validates on: (.*)',
    'Device': r' - INFO - Device: (.*)',
    'GPU': r'^    (GPU .*)',
    'Python': r'^    Python: (.*)',
    'PyTorch': r'^    PyTorch: (.*)',
}


def render_report(work_dir: str | Path) -> bytes:
    """Write the page as HTML: scores, run, curves, examples while it learned, errors, config.

    What ``tools/analyze.py`` wrote is taken from the folder ``analysis`` of the ``work_dir``, where it is there.

    Raises:
        InputError: If there is no log, it has no line of training yet, ``analysis.json`` cannot be read, or jinja2 is
            not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise InputError(
            'a report needs the package jinja2, which is not installed: pip install mmcentermask[report].'
        ) from error
    work_dir = Path(work_dir)
    log, errors = read_run_log(work_dir), _errors(work_dir / 'analysis')
    config = next(iter(sorted(work_dir.glob('*/vis_data/config.py'), reverse=True)), None)
    steps, examples = _examples(work_dir)
    name = next((file.stem for file in sorted(work_dir.glob('*.py'))), work_dir.name)  # mmengine's copy of the config
    page = dict(
        title=f'{name}: {log.train[-1]["iteration"]:,} iterations',
        evaluated=f'{log.val[-1]["iteration"]:,}' if log.val else None,
        work_dir=work_dir,
        score_head=['', *SCORES],
        scores=[[what, *[_last(log, form, score) for score in SCORES]] for form, what in FORM_NAMES.items()],
        facts=_facts(work_dir, log),
        curves=svg_of(draw_curves(log)),
        steps=steps,
        examples=examples,
        config_file=config or 'The run kept none.',
        config=config.read_text(encoding='utf-8') if config else '',
        **errors,
    )
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template('run_report.html').render(page).encode()


def last_scores(log: RunLog) -> str:
    """Return the AP of the last evaluation in one line; a dash where nothing could be scored."""
    values = [f'{name} AP {_last(log, form, "AP")}' for form, name in FORM_NAMES.items()]
    return f'After iteration {log.val[-1]["iteration"]}: {", ".join(values)}'


def _last(log: RunLog, form: str, score: str) -> str:
    return _dashed(log.val[-1].get((form, score))) if log.val else ''


def _dashed(ap: float | None) -> str:
    return '-' if ap is None or ap < 0 else f'{ap:.3f}'


def _facts(work_dir: Path, log: RunLog) -> list[tuple[str, str]]:
    """Return what the log says of the run, by name."""
    texts = [file.read_text(encoding='utf-8', errors='replace') for file in sorted(work_dir.glob('*/*.log'))]
    found = [(name, re.findall(pattern, '\n'.join(texts), re.MULTILINE)) for name, pattern in _FACTS.items()]
    first, last = log.train[0], log.train[-1]
    facts = [(name, values[-1]) for name, values in found if values]
    facts.append(
        ('Loss', f'{first["loss"]:.3f} at iteration {first["iteration"]}, {last["loss"]:.3f} at {last["iteration"]}')
    )
    if log.seconds:
        facts.append(('Time', f'{log.seconds / 60:.1f} minutes from start to last log line, evaluation included'))
    times = [line['time'] for line in log.train if 'time' in line]
    if times:
        waiting = sum(line.get('data_time', 0) for line in log.train) / sum(times)
        facts.append(('Speed', f'{median(times):.3f} s an iteration (median), {waiting:.0%} of it waiting for data'))
    memory = [line['memory'] for line in log.train if 'memory' in line]
    if memory:
        facts.append(('Memory of the GPU', f'{max(memory):,} MB'))
    return facts


def _examples(work_dir: Path) -> tuple[list[int], list[list[tuple[int, str | None]]]]:
    """Return iterations, and of each example image its drawings then."""
    files = {}
    for folder, _, begin in trained_runs(work_dir):
        files = {place: file for place, file in files.items() if place[1] < begin}
        for file in folder.glob('vis_data/vis_image/*.png'):
            if match := _EXAMPLE.fullmatch(file.name):
                files[int(match[1]), int(match[2])] = file
    every = sorted({step for _, step in files})
    count = min(_STEPS, len(every))
    steps = [every[round(i * (len(every) - 1) / max(count - 1, 1))] for i in range(count)]
    numbers = sorted({number for number, _ in files})
    return steps, [[(step, _small(files.get((number, step)))) for step in steps] for number in numbers]


def _small(file: Path | None) -> str | None:
    """Return an image for HTML, reduced."""
    image = None if file is None else cv2.imread(str(file))
    if image is None:
        return None
    scale = min(1, _WIDTH / image.shape[1])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return _embedded(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


def _embedded(jpeg: bytes) -> str:
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'


def _errors(folder: Path) -> dict[str, Any]:
    """Return what ``tools/analyze.py`` found."""
    file = folder / 'analysis.json'
    if not file.is_file():
        return dict(analysis=None, images={})
    try:
        analysis = json.loads(file.read_bytes())
        form = 'segm' if 'segm' in analysis else 'bbox'
        found = dict(errors=svg_of(draw_errors(analysis)), confusion=svg_of(draw_confusion(analysis)))
        columns = ('name', 'objects', *(score for score in SCORES if score in analysis[form]['classes'][0]))
        rows = analysis[form]['classes']
        images = [(name, folder / name) for name in ('examples.jpg', 'worst.jpg', 'best.jpg')]
        meanings = [(kind, error['meaning']) for kind, error in analysis[form]['tide'].items()]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise InputError(f'{file} cannot be read: let tools/analyze.py write it anew, or remove it.') from error
    return dict(
        found,
        analysis=analysis,
        meanings=meanings,
        class_head=columns,
        classes=[[row['name'], row['objects'], *map(_dashed, (row[c] for c in columns[2:]))] for row in rows],
        images={name: _embedded(image.read_bytes()) if image.is_file() else None for name, image in images},
    )
