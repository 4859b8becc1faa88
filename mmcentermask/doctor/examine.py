"""Goes through an environment, the least part first, and lets no fault end it."""

import importlib.util
import json
import platform
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

from mmcentermask.dependencies import MEND, check_pkg_resources, check_version, installed
from mmcentermask.version import TESTED

from .row import FAULT, NOTE, OK, UNTRIED, Row, told

__all__ = ['answer', 'examine']

_PATIENCE = 300  # seconds; the first import of a large library from a slow disk takes long
_ONEDL = 'onedl-'
# what has to work before there is any use in trying
_NEEDS = {
    'accelerator': ['torch'],
    'processes': ['torch'],
    'opencv': ['numpy'],
    'pycocotools': ['numpy'],
    'torchvision': ['torch'],
    'mmcv ops': ['numpy', 'torch', 'opencv', 'mmcv'],
    'mmcentermask': ['pycocotools', 'pkg_resources', 'mmcv ops', *TESTED],
    'checkpoints': ['mmcentermask'],
    'runner': ['mmcentermask', 'torchvision'],
}
_ALONE = ['numpy', 'torch', 'accelerator', 'processes', 'opencv', 'pycocotools', 'torchvision', 'mmcv ops']
_WITH_PACKAGE = ['mmcentermask', 'checkpoints', 'runner']


def examine() -> list[Row]:
    """Look at everything.

    Returns:
        list[Row]: A line a thing; no fault raises an error.
    """
    rows = [_guarded('Python', _python)]
    rows += [_guarded(module, lambda module=module: _module(module)) for module in TESTED]
    rows += [_guarded('line', _line), _guarded('pkg_resources', _pkg_resources)]
    command = [sys.executable, '-m', 'mmcentermask.doctor', '--probe']
    rows += _tried(_ALONE, rows, command)
    # as users do; run as a module, the package would import nothing
    start = 'import sys, mmcentermask; from mmcentermask.doctor.examine import answer; answer(sys.argv[1:])'
    rows += _tried(_WITH_PACKAGE, rows, [sys.executable, '-c', start])
    return [*rows, _guarded('panopticapi', _panopticapi)]


def _guarded(name: str, look: Callable[[], Row]) -> Row:
    """Turn an error nobody thought of into a fault."""
    try:
        return look()
    except Exception as error:
        mend = f'{name} could not be looked at ({told(error)}): {MEND}.'
        return Row(name, FAULT, 'unknown', mend)


def _python() -> Row:
    version = platform.python_version()
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        return Row('Python', OK, version)
    mend = f'mmcentermask was tested with Python 3.10 to 3.13, this is {version}: run `make env PYTHON=python3.12`.'
    return Row('Python', NOTE if sys.version_info >= (3, 14) else FAULT, version, mend)


def _module(module: str) -> Row:
    """mmcv, mmengine or mmdet, from what pip wrote down."""
    found = installed(module)
    shown = ', '.join(f'{name} {version}' for name, version in found.items()) or 'not installed'
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        try:
            check_version(module)
        except ImportError as error:
            return Row(module, FAULT, shown, str(error))
    if caught:
        return Row(module, NOTE, shown, str(caught[0].message))
    return Row(module, OK, shown if found else 'on the path, of unknown version')


def _line() -> Row:
    """Whether all three are of one dependency line."""
    names = [name for module in TESTED for name in installed(module)]
    of_onedl = [name for name in names if name.startswith(_ONEDL)]
    of_openmmlab = [name for name in names if not name.startswith(_ONEDL)]
    if of_onedl and of_openmmlab:
        mend = (
            f'{", ".join(of_onedl)} and {", ".join(of_openmmlab)} are of two dependency lines that do not go together: '
            f'run `pip uninstall -y {" ".join(names)}`, then {MEND}.'
        )
        return Row('line', FAULT, 'two at once', mend)
    if not names:
        return Row('line', UNTRIED, 'none')
    return Row('line', OK, 'onedl, the maintained one' if of_onedl else "openmmlab, OpenMMLab's last releases")


def _pkg_resources() -> Row:
    name = 'pkg_resources'
    try:
        check_pkg_resources()
    except ImportError as error:
        return Row(name, FAULT, 'not there', str(error))
    there = importlib.util.find_spec('pkg_resources') is not None
    return Row(name, OK, 'there' if there else 'not there, not needed')


def _panopticapi() -> Row:
    name = 'panopticapi'
    if importlib.util.find_spec(name) is not None:
        return Row(name, OK, 'there')
    mend = (
        "mmdet's panoptic classes need panopticapi, which no registry carries (nothing of mmcentermask does): "
        'if you use them, run `pip install git+https://github.com/cocodataset/panopticapi.git`.'
    )
    return Row(name, NOTE, 'not there, for panoptic data only', mend)


def _tried(names: list[str], before: Iterable[Row], command: list[str]) -> list[Row]:
    """Try libraries in a process of their own; after a fault another process goes on."""
    rows = {row.name: row for row in before}
    left = list(names)
    while left:
        for name in left:
            wrong = [need for need in _NEEDS.get(name, ()) if need in rows and rows[need].state in (FAULT, UNTRIED)]
            if wrong:
                rows[name] = Row(name, UNTRIED, f'not tried, see {wrong[0]}')
        left = [name for name in left if name not in rows]
        if left:
            rows.update((row.name, row) for row in _answers(left, command))
        left = [name for name in left if name not in rows]
    return [rows[name] for name in names]


def _answers(names: list[str], command: list[str]) -> list[Row]:
    """Ask one process, which ends at the first fault; where it ends without one, what came next is at fault."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'answers')
        file.touch()
        try:
            done = subprocess.run(
                [*command, str(file), *names],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors='replace',
                timeout=_PATIENCE,
            )
            how = _ending(done.returncode, done.stderr)
        except subprocess.TimeoutExpired:
            how = f'no answer in {_PATIENCE} seconds'
        except OSError as error:
            how = told(error)
        rows = [Row(*json.loads(line)) for line in file.read_text(encoding='utf-8').splitlines()]
    if len(rows) < len(names) and (not rows or rows[-1].state != FAULT):
        name = names[len(rows)]
        rows.append(Row(name, FAULT, 'does not work', f'{name} does not work ({how}): {MEND}.'))
    return rows


def _ending(code: int, errors: str) -> str:
    """Say how a process ended."""
    if code < 0:
        return f'the process was ended by {signal.Signals(-code).name}'
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    return lines[-1][:300].rstrip('.') if lines else f'exit code {code}'


def answer(args: list[str]) -> None:
    """Try libraries in this process, write a line of JSON after each, and stop at the first fault.

    Args:
        args (list[str]): The file to write to, and the names.
    """
    from .loading import probe_loading
    from .probes import PROBES

    probes = {**PROBES, 'checkpoints': probe_loading}
    with open(args[0], 'a', encoding='utf-8') as file:
        for name in args[1:]:
            row = _guarded(name, probes[name])
            file.write(json.dumps(row) + '\n')
            file.flush()
            if row.state == FAULT:
                break
