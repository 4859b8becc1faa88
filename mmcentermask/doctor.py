"""``python -m mmcentermask.doctor`` says what is wrong with an environment and what helps; exit code 1 on a fault."""

import argparse
import contextlib
import importlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from functools import partial
from importlib import metadata
from pathlib import Path

from .dependencies import ENV_HINT, check_compiled_ops, check_pkg_resources, check_version, installed, ops_command
from .version import TESTED, __version__

__all__ = ['CHECKS', 'Fault', 'Note', 'examine', 'explain', 'main']

# what numpy and compiled modules say when they were not built for each other
_NUMPY_ABI = re.compile(r'NumPy 1\.x|numpy\.core\.multiarray|_ARRAY_API|dtype size changed|Numpy is not available')
_SHARED_LIBRARY = re.compile(r'(lib[\w.+-]+\.so[\w.]*): cannot open shared object')


class Fault(Exception):
    """What was found, in a few words, and a sentence with the command that helps."""

    state = 'FAULT'

    def __init__(self, found: str, hint: str):
        super().__init__(hint)
        self.found, self.hint = found, hint


class Note(Fault):
    """Something to know; no fault."""

    state = 'note'


def check_python() -> str:
    """Python itself."""
    version = platform.python_version()
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        raise Fault(
            version, f'mmcentermask needs Python 3.10 to 3.13, this is {version}: `make env PYTHON=python3.12`.'
        )
    return version


def check_module(module: str) -> str:
    """mmcv, mmengine or mmdet, from what pip wrote down."""
    found = ', '.join(f'{name} {version}' for name, version in installed(module).items()) or 'not installed by pip'
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        try:
            check_version(module)
        except ImportError as error:
            raise Fault(found, str(error)) from error
    if caught:
        raise Note(found, str(caught[0].message))
    return found


def check_line() -> str:
    """Whether all three are of one dependency line."""
    names = [name for module in TESTED for name in installed(module)]
    lines = {'onedl' if name.startswith('onedl-') else 'openmmlab' for name in names}
    if len(lines) > 1:
        hint = f'{", ".join(names)} are of two dependency lines: `pip uninstall -y {" ".join(names)}`, then {ENV_HINT}.'
        raise Fault('two at once', hint)
    check_pkg_resources()
    return ''.join(lines) or 'none'


def check_shadowing() -> str:
    """Whether a file or folder on the path hides an installed package of the same name."""
    for name in ('torch', 'numpy', 'mmcentermask', *(name for module in TESTED for name in installed(module))):
        module = next((module for module in TESTED if name in installed(module)), name)
        spec = importlib.util.find_spec(module)
        with contextlib.suppress(metadata.PackageNotFoundError):
            dist = metadata.distribution(name)
            place = json.loads(dist.read_text('direct_url.json') or '{}')
            editable = place.get('dir_info', {}).get('editable')
            site = Path(dist.locate_file('')).resolve()
            found = spec and (spec.origin or next(iter(spec.submodule_search_locations or ()), None))
            if not editable and found and not Path(found).resolve().is_relative_to(site):
                raise Fault(f'{module} is hidden', f'{found} hides the installed {name}: rename it, or `cd` elsewhere.')
    return 'none'


def check_numpy() -> str:
    """NumPy, and whether torch was built for it."""
    import numpy
    import torch

    try:
        torch.from_numpy(numpy.zeros(1))
    except RuntimeError as error:
        hint = f"torch {torch.__version__} cannot use numpy {numpy.__version__} ({error}): `pip install 'numpy<2'`."
        raise Fault(numpy.__version__, hint) from error
    return numpy.__version__


def check_torch() -> str:
    """Torch, and whether it sees the GPU."""
    import torch

    version, cuda = torch.__version__, torch.version.cuda
    if torch.cuda.is_available():
        return f'{version}, {torch.cuda.get_device_name(0)}, CUDA {cuda}'
    gpus = ''
    if shutil.which('nvidia-smi'):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            gpus = subprocess.run(['nvidia-smi', '-L'], capture_output=True, text=True, timeout=30).stdout
    if 'GPU' not in gpus:
        return f'{version}, no NVIDIA GPU'
    if cuda:
        hint = f'The NVIDIA driver cannot run CUDA {cuda}, which torch is built for: update it, then `make env`.'
        raise Fault(f'{version}, CUDA cannot be used', hint)
    hint = 'There is an NVIDIA GPU, but torch is built without CUDA, so everything runs on the CPU: `make env`.'
    raise Note(f'{version}, without CUDA', hint)


def check_torchvision() -> str:
    """torchvision, which nothing here needs, but which mmengine's Runner imports where it is."""
    if importlib.util.find_spec('torchvision') is None:
        return 'not installed, not needed'
    try:
        return importlib.import_module('torchvision').__version__
    except Exception as error:
        hint = f'torchvision does not fit torch ({_line_of(error)}), and mmengine imports it: '
        hint += '`pip uninstall -y torchvision`, or install the torchvision of this torch.'
        raise Fault('does not fit torch', hint) from error


def check_opencv() -> str:
    """OpenCV, which reads the images."""
    import cv2
    import numpy

    cv2.resize(numpy.zeros((2, 2), numpy.uint8), (4, 4))
    return cv2.__version__


def check_pycocotools() -> str:
    """pycocotools, which reads masks and computes AP."""
    import numpy
    from pycocotools import mask

    mask.encode(numpy.asfortranarray(numpy.ones((2, 2), numpy.uint8)))
    return metadata.version('pycocotools')


def check_ops() -> str:
    """The compiled ops of mmcv, with a result that is known."""
    import torch

    check_compiled_ops()
    from mmcv.ops import get_compiling_cuda_version, nms

    cuda = get_compiling_cuda_version()
    for device in ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']:
        if device == 'cuda' and cuda == 'not available':
            hint = (
                f'torch uses the GPU, but the ops of mmcv are built for the CPU only: `FORCE_CUDA=1 {ops_command()}`.'
            )
            raise Fault('CPU only', hint)
        boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], device=device)
        kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)[1].tolist()
        if kept != [0, 2]:
            hint = f'NMS of mmcv keeps {kept} and not [0, 2] on {device}, as it was built for another torch: '
            raise Fault('wrong results', f'{hint}`{ops_command()}`.')
    return f'work, CUDA {cuda}'


class _Hostile:
    """Makes a folder where it is unpickled with code allowed."""

    def __init__(self, folder: str):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def check_package() -> str:
    """Whether this package was imported, so that checkpoints are read, and one that runs code is refused."""
    if (error := sys.modules[__package__]._error) is not None:
        raise error.__cause__ or error
    import torch
    from mmengine.logging import HistoryBuffer
    from mmengine.runner import CheckpointLoader

    with tempfile.TemporaryDirectory() as folder:
        own, hostile, made = (os.path.join(folder, name) for name in ('own.pth', 'hostile.pth', 'made'))
        torch.save(dict(message_hub=HistoryBuffer([1.0], [1])), own)
        torch.save(dict(meta=_Hostile(made)), hostile)
        CheckpointLoader.load_checkpoint(own, map_location='cpu', logger='silent')
        with contextlib.suppress(Exception):
            CheckpointLoader.load_checkpoint(hostile, map_location='cpu', logger='silent')
        if os.path.exists(made):
            hint = 'A checkpoint can run code, as something replaced the loaders of mmcentermask: import it last.'
            raise Fault('may run code', hint)
    return f'{__version__}, checkpoints are read, code in them is refused'


CHECKS = {
    'Python': check_python,
    **{module: partial(check_module, module) for module in TESTED},
    'line': check_line,
    'shadowing': check_shadowing,
    'torch': check_torch,
    'numpy': check_numpy,
    'torchvision': check_torchvision,
    'opencv': check_opencv,
    'pycocotools': check_pycocotools,
    'mmcv ops': check_ops,
    'mmcentermask': check_package,
}


def _line_of(error: BaseException) -> str:
    """Return an error as one line."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), '')
    return f'{type(error).__name__}: {text}'[:300]


def explain(name: str, error: Exception) -> Fault:
    """Turn an error of a check into a fault with a hint.

    Args:
        name (str): The check, ``'opencv'`` say.
        error (Exception): What it raised.
    """
    again = f'pip install --force-reinstall --no-deps --no-cache-dir {"opencv-python" if name == "opencv" else name}'
    again = f'`{ops_command() if name == "mmcv ops" else again}`'
    if isinstance(error, Fault):
        return error
    if isinstance(error, ImportError) and '`' in str(error):
        return Fault('does not work', str(error))
    if isinstance(error, ModuleNotFoundError):
        hint = f'{name} needs {error.name}: `pip install {"opencv-python" if error.name == "cv2" else error.name}`.'
        return Fault(f'{error.name} is not installed', hint)
    library = _SHARED_LIBRARY.search(str(error))
    if library and library[1].startswith(('libGL', 'libgthread', 'libSM', 'libX')):
        hint = f'OpenCV needs {library[1]}, which this system lacks: `pip uninstall -y opencv-python '
        return Fault('a library is missing', f'{hint}opencv-python-headless && pip install opencv-python-headless`.')
    if _NUMPY_ABI.search(str(error)):
        hint = f'{name} was built for another numpy than {metadata.version("numpy")} ({_line_of(error)}): {again}.'
        return Fault('built for another numpy', hint)
    again = ENV_HINT if name == 'mmcentermask' else again
    return Fault('does not work', f'{name} does not work ({_line_of(error)}): {again}.')


def examine() -> int:
    """Run all checks, print a line each and then the hints; return the number of faults."""
    hints, faults = [], 0
    for name, check in CHECKS.items():
        try:
            state, found = 'ok', check()
        except Exception as error:
            fault = explain(name, error)
            state, found = fault.state, fault.found
            faults += state == Fault.state
            hints += [fault.hint] if fault.hint not in hints else []
        print(f'{state:6} {name:12} {found}', flush=True)
    print('', *(f'{number}. {hint}' for number, hint in enumerate(hints, 1)), sep='\n')
    print(f'{faults} fault(s) found.' if faults else 'Nothing is wrong.')
    return faults


def main() -> int:
    """Run the command; return 0, or 1 where something is wrong."""
    argparse.ArgumentParser(prog='python -m mmcentermask.doctor', description=__doc__.split('; ')[0]).parse_args()
    return int(examine() > 0)


if __name__ == '__main__':
    sys.exit(main())
