"""Checks, when the package is imported, that the OpenMMLab libraries below it are there and fit."""

import importlib
import importlib.util
import re
import warnings
from importlib import metadata

from mmcentermask.version import TESTED

__all__ = [
    'MEND',
    'check_compiled_ops',
    'check_dependencies',
    'check_pkg_resources',
    'check_version',
    'installed',
    'parse_version',
]

# Import name -> the distributions that bring it: the maintained line first, then OpenMMLab's, then its lite variant.
_DISTRIBUTIONS = {
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite'),
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
}
MEND = (
    'run `make env` in the checkout of mmcentermask, or, with torch installed, '
    "`MMCV_WITH_OPS=1 pip install --no-build-isolation '.[onedl]'` there (`.[openmmlab]` for OpenMMLab's packages)"
)


def parse_version(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, which is all that ranges here compare.

    Args:
        version (str): Such as ``'2.1.0rc1+cpu'``.

    Returns:
        tuple[int, ...]: Such as ``(2, 1, 0)``.
    """
    return tuple(int(part) for part in re.match(r'\d+(?:\.\d+)*', version).group().split('.'))


def installed(module: str) -> dict[str, str]:
    """Find the installed distributions that bring a module.

    Args:
        module (str): ``'mmcv'``, ``'mmengine'`` or ``'mmdet'``.

    Returns:
        dict: Name -> version.
    """
    found = {}
    for name in _DISTRIBUTIONS[module]:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def check_version(module: str) -> None:
    """Check that a module is installed once and is not older than the tested range; warn when it is newer.

    Args:
        module (str): ``'mmcv'``, ``'mmengine'`` or ``'mmdet'``.

    Raises:
        ImportError: If not.
    """
    oldest, newest = TESTED[module]
    found = installed(module)
    if not found:
        if importlib.util.find_spec(module) is None:
            raise ImportError(f'mmcentermask needs {module}, which is not installed: {MEND}.')
        return  # on the path without metadata, a vendored copy say: nothing to compare
    if len(found) > 1:
        raise ImportError(
            f"{' and '.join(found)} are both installed and overwrite each other's files: "
            f'uninstall both with `pip uninstall -y {" ".join(found)}`, then {MEND}.'
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


def check_compiled_ops() -> None:
    """Check that mmcv has its compiled ops (RoIAlign, NMS) and that they load with this torch.

    Raises:
        ImportError: If not.
    """
    try:
        importlib.import_module('mmcv.ops')
    except ModuleNotFoundError as error:
        if error.name != 'mmcv._ext':
            raise
        raise ImportError(
            'The installed mmcv has no compiled ops (it is mmcv-lite, or was built without torch): uninstall it '
            f'with `pip uninstall -y {" ".join(installed("mmcv")) or "mmcv"}`, then {MEND}.'
        ) from error
    except (ImportError, OSError) as error:
        if '_ext' not in str(error) and 'undefined symbol' not in str(error):
            raise
        raise ImportError(
            'The compiled ops of mmcv do not load, because they were built for another torch: run `make env` in a '
            'checkout of mmcentermask, or build them anew with `MMCV_WITH_OPS=1 pip install --force-reinstall '
            f'--no-deps --no-build-isolation --no-cache-dir --no-binary :all: {"".join(list(installed("mmcv"))[:1])}`.'
        ) from error


def check_pkg_resources() -> None:
    """Check that there is pkg_resources where mmengine is the one that needs it.

    Raises:
        ImportError: If not.
    """
    if 'mmengine' in installed('mmengine') and importlib.util.find_spec('pkg_resources') is None:
        raise ImportError(
            "mmengine 0.10.7 needs pkg_resources, which setuptools 81 dropped: run `pip install 'setuptools<81'`."
        )


def check_dependencies() -> None:
    """Check mmcv, mmengine and mmdet before anything of them is used.

    Versions newer than the tested ones (``mmcentermask.version.TESTED``) only give a warning.

    Raises:
        ImportError: If torch or one of them is missing, installed from both lines at once or older than
            the tested range; if mmcv has no compiled ops or they do not load with the installed torch; or if
            OpenMMLab's mmengine lacks ``pkg_resources``. The message is one sentence that says what to run.
    """
    if importlib.util.find_spec('torch') is None:
        raise ImportError(f'mmcentermask needs torch, which is not installed: run `pip install torch`, then {MEND}.')
    for module in TESTED:
        check_version(module)
    check_pkg_resources()
    check_compiled_ops()
