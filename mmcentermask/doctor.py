"""``python -m mmcentermask.doctor`` says what is wrong with an environment and what helps; exit code 1 on a fault."""

import argparse
import importlib
import importlib.util
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import metadata

from .dependencies import (
    ENV_HINT,
    check_compiled_ops,
    check_version,
    installed,
    is_for_exported_models,
    ops_command,
)
from .version import TESTED, __version__

__all__ = ['CHECKS', 'Fault', 'Note', 'examine', 'explain', 'main']

# what numpy and compiled modules say when they were not built for each other
_NUMPY_ABI = re.compile(r'NumPy 1\.x|numpy\.core\.multiarray|_ARRAY_API|dtype size changed|Numpy is not available')
_SCREEN_LIBRARY = re.compile(r'(lib(?:GL|gthread|SM|X)[\w.+-]*\.so[\w.]*): cannot open shared object')
_PACKAGES = {'cv2': 'opencv-python', 'opencv': 'opencv-python'}  # where pip's name is another


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
    return ''.join(lines) or 'none'


def check_shadowing() -> str:
    """Whether a file or folder on the path hides an installed package of the same name."""
    for module in ('torch', 'numpy', *TESTED):
        installed_file = os.path.join(sysconfig.get_path('purelib'), module, '__init__.py')
        spec = importlib.util.find_spec(module)
        if os.path.exists(installed_file) and spec.origin and not os.path.samefile(installed_file, spec.origin):
            hint = f'{spec.origin} hides the installed {module}: rename it, or `cd` elsewhere.'
            raise Fault(f'{module} is hidden', hint)
    return 'none'


def check_torch() -> str:
    """Torch, and whether it sees the GPU."""
    import torch

    version, cuda = torch.__version__, torch.version.cuda
    if torch.cuda.is_available():
        return f'{version}, {torch.cuda.get_device_name(0)}, CUDA {cuda}'
    try:
        gpus = subprocess.run(['nvidia-smi', '-L'], capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        gpus = ''
    if 'GPU' not in gpus:
        return f'{version}, no NVIDIA GPU'
    if cuda:
        hint = f'The NVIDIA driver cannot run CUDA {cuda}, which torch is built for: update it, then `make env`.'
        raise Fault(f'{version}, CUDA cannot be used', hint)
    hint = 'There is an NVIDIA GPU, but torch is built without CUDA, so everything runs on the CPU: '
    hint += 'delete the environment, and `make env` makes one for the GPU or says what it lacks for that.'
    raise Note(f'{version}, without CUDA', hint)


def check_numpy() -> str:
    """NumPy, and whether torch was built for it."""
    import numpy
    import torch

    torch.from_numpy(numpy.zeros(1))
    return numpy.__version__


def check_import(module: str) -> str:
    """A package, and whether it loads."""
    imported = importlib.import_module(module)
    return getattr(imported, '__version__', None) or metadata.version(module.split('.')[0])


def check_torchvision() -> str:
    """torchvision, which nothing here needs, but which mmengine's Runner imports where it is."""
    return check_import('torchvision') if importlib.util.find_spec('torchvision') else 'not installed, not needed'


def check_ops() -> str:
    """The compiled ops of mmcv, with a result that is known."""
    import torch

    check_compiled_ops()
    from mmcv.ops import get_compiling_cuda_version, nms

    cuda = get_compiling_cuda_version()
    for device in ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']:
        if device == 'cuda' and cuda == 'not available':
            hint = 'torch uses the GPU, but the ops of mmcv are built for the CPU only'
            raise Fault('CPU only', f'{hint}: `FORCE_CUDA=1 {ops_command()}`.')
        boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], device=device)
        kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)[1].tolist()
        if kept != [0, 2]:
            hint = f'NMS of mmcv keeps {kept} and not [0, 2] on {device}, as it was built for another torch'
            raise Fault('wrong results', f'{hint}: `{ops_command()}`.')
    return f'work, CUDA {cuda}'


def check_package() -> str:
    """Whether this package was imported, so that checkpoints are read, and one that runs code is refused."""
    if (error := sys.modules[__package__]._error) is not None:
        raise error.__cause__ if 'mmcentermask.doctor' in str(error) else error  # which only sends the user here
    import torch
    from mmengine.logging import HistoryBuffer
    from mmengine.runner import CheckpointLoader

    with tempfile.TemporaryDirectory() as folder:
        own, hostile = os.path.join(folder, 'own.pth'), os.path.join(folder, 'hostile.pth')
        torch.save(dict(message_hub=HistoryBuffer([1.0], [1])), own)
        torch.save(dict(meta=os.getcwd), hostile)  # whoever unpickles any function may be made to call it
        CheckpointLoader.load_checkpoint(own, map_location='cpu', logger='silent')
        try:
            CheckpointLoader.load_checkpoint(hostile, map_location='cpu', logger='silent')
        except Exception:
            return f'{__version__}, checkpoints are read, code in them is refused'
    hint = 'A checkpoint can run code, as something replaced the loaders of mmcentermask: import it last.'
    raise Fault('may run code', hint)


def check_weights() -> str:
    """Whether the weights that training starts from can be had."""
    if sys.modules[__package__]._error is not None:
        return 'not asked for'
    from .checkpoints.fetch import unreachable
    from .model_index import find_starts

    starts = find_starts()
    with ThreadPoolExecutor() as pool:
        reasons = {name: reason for name, reason in zip(starts, pool.map(unreachable, starts)) if reason}
    if not reasons:
        return f'all {len(starts)} can be had'
    hint = 'Training cannot start by itself from weights that cannot be had here; look at the network, or give a file '
    hint += 'by `--cfg-options model.backbone.init_cfg.checkpoint=FILE`:'
    lines = [f'{name}, for {", ".join(starts[name])}: {reason}.' for name, reason in reasons.items()]
    raise Note(f'{len(reasons)} of {len(starts)} cannot be had', '\n   '.join([hint, *lines]))


CHECKS = {
    'Python': check_python,
    **{module: partial(check_module, module) for module in TESTED},
    'line': check_line,
    'shadowing': check_shadowing,
    'torch': check_torch,
    'numpy': check_numpy,
    'torchvision': check_torchvision,
    'opencv': partial(check_import, 'cv2'),  # reads the images
    'pycocotools': partial(check_import, 'pycocotools.mask'),  # reads masks and computes AP
    'mmcv ops': check_ops,
    'mmcentermask': check_package,
    'weights': check_weights,
}


def explain(name: str, error: Exception) -> Fault:
    """Turn the error of a check, ``'opencv'`` say, into a fault with a hint."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, ImportError) and '`' in str(error):
        return Fault('does not work', str(error))
    if isinstance(error, ModuleNotFoundError) and '.' not in error.name:
        hint = f'{name} needs {error.name}: `pip install {_PACKAGES.get(error.name, error.name)}`.'
        return Fault(f'{error.name} is not installed', hint)
    if library := _SCREEN_LIBRARY.search(str(error)):
        hint = f'OpenCV needs {library[1]}, which this system lacks: `pip uninstall -y opencv-python '
        return Fault('a library is missing', f'{hint}opencv-python-headless && pip install opencv-python-headless`.')
    reinstall = f'pip install --force-reinstall --no-deps --no-cache-dir {_PACKAGES.get(name, name)}'
    commands = {
        'mmcentermask': ENV_HINT,
        'mmcv ops': f'`{ops_command()}`',
        'numpy': "`pip install 'numpy<2'`",
        'torchvision': '`pip uninstall -y torchvision`, or install the torchvision of this torch',
    }
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), '')[:300]
    found = 'built for another numpy' if _NUMPY_ABI.search(str(error)) else 'does not work'
    return Fault(found, f'{name}: {found} ({type(error).__name__}: {line}): {commands.get(name, f"`{reinstall}`")}.')


def examine() -> int:
    """Run all checks, print a line each and then the hints; return the number of faults."""
    hints, faults, names = [], 0, list(CHECKS)
    if is_for_exported_models():
        print('note   runtime      for exported models alone, as there is no mmcv, mmengine or mmdet')
        names = ['Python', 'opencv', 'pycocotools']
    for name in names:
        try:
            state, found = 'ok', CHECKS[name]()
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
