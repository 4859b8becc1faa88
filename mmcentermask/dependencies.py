"""Checks, when the package is imported, that the OpenMMLab libraries below it are there and fit."""

import importlib
import importlib.util
import re
import warnings
from importlib import metadata

from mmcentermask.version import TESTED

__all__ = ['check_dependencies']

# Import name -> the distributions that bring it: the maintained line first, then OpenMMLab's, then its lite variant.
_DISTRIBUTIONS = {
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite'),
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
}
_MEND = (
    'run `make env` in the checkout of mmcentermask, or, with torch installed, '
    "`MMCV_WITH_OPS=1 pip install --no-build-isolation '.[onedl]'` there (`.[openmmlab]` for OpenMMLab's packages)"
)


def _parse(version: str) -> tuple[int, ...]:
    """Turn ``'2.1.0rc1+cpu'`` into ``(2, 1, 0)``: the leading numbers, which is all that ranges here compare."""
    return tuple(int(part) for part in re.match(r'\d+(?:\.\d+)*', version).group().split('.'))


def _installed(module: str) -> dict[str, str]:
    """Return the installed distributions that bring ``module``, as name -> version."""
    found = {}
    for name in _DISTRIBUTIONS[module]:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _check_version(module: str) -> None:
    """Check that ``module`` is installed once and is not older than the tested range; warn when it is newer."""
    oldest, newest = TESTED[module]
    found = _installed(module)
    if not found:
        if importlib.util.find_spec(module) is None:
            raise ImportError(f'mmcentermask needs {module}, which is not installed: {_MEND}.')
        return  # on the path without metadata, a vendored copy say: nothing to compare
    if len(found) > 1:
        raise ImportError(
            f"{' and '.join(found)} are both installed and overwrite each other's files: "
            f'uninstall both with `pip uninstall -y {" ".join(found)}`, then {_MEND}.'
        )
    ((name, version),) = found.items()
    if _parse(version) < _parse(oldest):
        raise ImportError(
            f'mmcentermask needs {name} {oldest} or newer, but {version} is installed: '
            f"run `pip install '{name}>={oldest}'`."
        )
    if _parse(version) > _parse(newest):
        warnings.warn(
            f'{name} {version} is newer than {newest}, the newest version that mmcentermask was tested with; '
            f'if something fails, go back to {newest}.',
            stacklevel=4,
        )


def _check_compiled_ops() -> None:
    """Check that mmcv has its compiled ops (RoIAlign, NMS) and that they load with this torch."""
    try:
        importlib.import_module('mmcv.ops')
    except ModuleNotFoundError as error:
        if error.name != 'mmcv._ext':
            raise
        raise ImportError(
            'The installed mmcv has no compiled ops (it is mmcv-lite, or was built without torch): uninstall it '
            f'with `pip uninstall -y {" ".join(_installed("mmcv")) or "mmcv"}`, then {_MEND}.'
        ) from error
    except (ImportError, OSError) as error:
        if '_ext' not in str(error) and 'undefined symbol' not in str(error):
            raise
        raise ImportError(
            'The compiled ops of mmcv do not load, because they were built for another torch: run `make env` in a '
            'checkout of mmcentermask, or build them anew with `MMCV_WITH_OPS=1 pip install --force-reinstall '
            f'--no-deps --no-build-isolation --no-cache-dir --no-binary :all: {"".join(list(_installed("mmcv"))[:1])}`.'
        ) from error


def check_dependencies() -> None:
    """Check mmcv, mmengine and mmdet before anything of them is used.

    Versions newer than the tested ones (``mmcentermask.version.TESTED``) only give a warning.

    Raises:
        ImportError: If torch or one of them is missing, installed from both lines at once or older than
            the tested range; if mmcv has no compiled ops or they do not load with the installed torch; or if
            OpenMMLab's mmengine lacks ``pkg_resources``. The message is one sentence that says what to run.
    """
    if importlib.util.find_spec('torch') is None:
        raise ImportError(f'mmcentermask needs torch, which is not installed: run `pip install torch`, then {_MEND}.')
    for module in TESTED:
        _check_version(module)
    if 'mmengine' in _installed('mmengine') and importlib.util.find_spec('pkg_resources') is None:
        raise ImportError(
            "mmengine 0.10.7 needs pkg_resources, which setuptools 81 dropped: run `pip install 'setuptools<81'`."
        )
    _check_compiled_ops()
