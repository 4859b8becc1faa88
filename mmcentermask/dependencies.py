"""Checks, when the package is imported, that the libraries below it are there and fit, and imports them quietly."""

import contextlib
import importlib
import importlib.util
import io
import re
import sys
import warnings
from importlib import metadata

from mmcentermask.version import TESTED

__all__ = [
    'ENV_HINT',
    'check_compiled_ops',
    'check_version',
    'import_dependencies',
    'installed',
    'is_for_exported_models',
    'ops_command',
]

# Import name -> the distributions that bring it: the maintained line first, then OpenMMLab's, then its lite variant.
_DISTRIBUTIONS = {
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite'),
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
}
ENV_HINT = (
    'run `make env` in a checkout of mmcentermask, or in an environment with torch '
    "`pip install '.[onedl]'` there (`.[openmmlab]` for OpenMMLab's packages)"
)
# onedl-mmdetection prints this twice at import, on level DEBUG, which mmengine's print_log leaves out of account
_ONEDL_NOISE = 'Could not import OneDL. Skipping OneDL datasets.\n'


def ops_command() -> str:
    """Return the command that compiles mmcv with its ops, of the line that is installed.

    Without the last options pip takes a wheel without ops from its cache, or keeps the one that is installed.
    """
    name, version = ('onedl-mmcv', '2.3.6') if 'onedl-mmcv' in installed('mmcv') else ('mmcv', '2.1.0')
    uninstall = 'pip uninstall -y mmcv-lite && ' if 'mmcv-lite' in installed('mmcv') else ''
    return (
        f"{uninstall}pip install 'setuptools<81' wheel ninja && MMCV_WITH_OPS=1 CFLAGS='-g0 -O2' pip install "
        f'--no-build-isolation --no-deps --force-reinstall --no-cache-dir --no-binary {name} {name}=={version}'
    )


def parse_version(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: ``parse_version('2.1.0rc1+cpu')`` is ``(2, 1, 0)``."""
    return tuple(int(part) for part in re.match(r'\d+(?:\.\d+)*', version).group().split('.'))


def installed(module: str) -> dict[str, str]:
    """Find the installed distributions, name -> version, that bring ``'mmcv'``, ``'mmengine'`` or ``'mmdet'``."""
    found = {}
    for name in _DISTRIBUTIONS[module]:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def check_version(module: str) -> None:
    """Check that a module is installed once, not older than the tested range, and has what it needs itself.

    A newer one gives a warning.

    Raises:
        ImportError: If not.
    """
    oldest, newest = TESTED[module]
    found = installed(module)
    if not found:
        if importlib.util.find_spec(module) is None:
            raise ImportError(f'mmcentermask needs {module}, which is not installed: {ENV_HINT}.')
        return  # on the path without metadata, a vendored copy say: nothing to compare
    if len(found) > 1:
        raise ImportError(
            f"{' and '.join(found)} are both installed and overwrite each other's files: "
            f'uninstall both with `pip uninstall -y {" ".join(found)}`, then {ENV_HINT}.'
        )
    ((name, version),) = found.items()
    if parse_version(version) < parse_version(oldest):
        raise ImportError(
            f'mmcentermask needs {name} {oldest} or newer, but {version} is installed: '
            f"run `pip install '{name}>={oldest}'`."
        )
    if parse_version(version) > parse_version(newest):
        warnings.warn(
            f'{name} {version} is newer than {newest}, the newest version that mmcentermask was tested with; '
            f'if something fails, go back to {newest}.',
            stacklevel=4,
        )
    if name == 'mmengine' and importlib.util.find_spec('pkg_resources') is None:  # of OpenMMLab's line alone
        raise ImportError(
            "mmengine 0.10.7 needs pkg_resources, which setuptools 81 dropped: run `pip install 'setuptools<81'`."
        )


def is_for_exported_models() -> bool:
    """Tell whether the environment has what runs exported models, and nothing of what the models themselves need."""
    has = importlib.util.find_spec
    return not any(map(has, TESTED)) and any(map(has, ('onnxruntime', 'openvino')))


def check_compiled_ops() -> None:
    """Check that mmcv has its compiled ops (RoIAlign, NMS) and that they load with this torch.

    Raises:
        ImportError: If not.
    """
    try:
        importlib.import_module('mmcv.ops')
    except (ImportError, OSError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == 'mmcv._ext':
            what = 'The installed mmcv has no compiled ops (it is mmcv-lite, or was built without torch)'
        elif '_ext' in str(error) or 'undefined symbol' in str(error):
            what = 'The compiled ops of mmcv do not load, because they were built for another torch'
        else:
            raise
        raise ImportError(
            f'{what}: run `make env` in a checkout of mmcentermask, or compile them with `{ops_command()}`.'
        ) from error


def import_dependencies() -> None:
    """Import torch, mmcv, mmengine and mmdet, without the words that mmdet says on parts nothing here uses.

    Versions newer than the tested ones (``mmcentermask.version.TESTED``) only give a warning.

    Raises:
        ImportError: If one of them is missing, installed from both lines at once, older than the tested range or does
            not load. The message is one sentence that says what to run.
    """
    if importlib.util.find_spec('torch') is None:
        raise ImportError(
            f'mmcentermask needs torch, which is not installed: run `pip install torch`, then {ENV_HINT}; to run '
            "exported models alone, `pip install '.[runtime]'`."
        )
    for module in TESTED:
        check_version(module)
    warnings.filterwarnings('ignore', message='faster_coco_eval is not installed')
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            importlib.import_module('torch')
            check_compiled_ops()
            importlib.import_module('mmdet.datasets')
            importlib.import_module('mmdet.evaluation')
    except Exception as error:  # built for another numpy or torch, libraries of the system missing, versions refused
        if isinstance(error, ImportError) and '`' in str(error):
            raise
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), '')
        raise ImportError(
            f'A library that mmcentermask needs does not load ({type(error).__name__}: {reason}): '
            '`python -m mmcentermask.doctor` says which, and what helps.'
        ) from error
    finally:
        sys.stdout.write(printed.getvalue().replace(_ONEDL_NOISE, ''))
