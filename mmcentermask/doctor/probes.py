"""Tries each library, in a process of its own: a library that was built for another one may end the process."""

import importlib.util
import os
import re
import shutil
import subprocess
from importlib import metadata

from mmcentermask.dependencies import check_compiled_ops, installed, parse_version

from .row import FAULT, NOTE, OK, Row, broken, told

__all__ = ['PROBES']

# what numpy and compiled modules say when they were not built for each other
_ABI = re.compile(r'NumPy 1\.x|numpy\.core\.multiarray|_ARRAY_API|dtype size changed|Numpy is not available|numpy ABI')
_SHARED_LIBRARY = re.compile(r'(lib[\w.+-]+\.so[\w.]*): cannot open shared object')
_OLDEST_TORCH = (2, 4)
_OLDEST_NUMPY = (1, 26)


def _distribution(*names: str) -> str:
    """Return the first of these distributions that is installed, or the first."""
    for name in names:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        return name
    return names[0]


def _numpy_version() -> str:
    try:
        return metadata.version('numpy')
    except metadata.PackageNotFoundError:
        return 'of this environment'


def _failed(name: str, error: BaseException, *distributions: str) -> Row:
    """Return the line of a library with compiled parts that failed."""
    distribution = _distribution(*distributions)
    again = f'pip install --force-reinstall --no-deps --no-cache-dir {distribution}'
    if isinstance(error, ModuleNotFoundError) and error.name in (name, distribution):
        return Row(name, FAULT, 'not installed', f'{name} is not installed: run `pip install {distribution}`.')
    if _ABI.search(f'{type(error).__name__} {error}'):
        why = f'{name} was built for another numpy than {_numpy_version()} ({told(error)})'
        return Row(name, FAULT, 'built for another numpy', f'{why}: run `{again}`.')
    return broken(name, error, again)


def probe_numpy() -> Row:
    """NumPy itself."""
    try:
        import numpy
    except ImportError as error:
        return _failed('numpy', error, 'numpy')
    if parse_version(numpy.__version__) < _OLDEST_NUMPY:
        mend = f"numpy {numpy.__version__} is too old: run `pip install 'numpy>=1.26'`."
        return Row('numpy', FAULT, numpy.__version__, mend)
    return Row('numpy', OK, numpy.__version__)


def _has_gpu() -> bool:
    """Whether the NVIDIA driver names a GPU."""
    if shutil.which('nvidia-smi') is None:
        return False
    try:
        done = subprocess.run(['nvidia-smi', '-L'], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and 'GPU' in done.stdout


def probe_torch() -> Row:
    """Torch, and whether it and numpy understand each other."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return _failed('torch', error, 'torch')
    version = torch.__version__
    if parse_version(version) < _OLDEST_TORCH:
        return Row(
            'torch', FAULT, version, f"torch {version} is too old: run `pip install 'torch>=2.4'`, then `make env`."
        )
    try:
        import numpy

        torch.from_numpy(numpy.zeros(1))
    except ImportError:
        pass  # has a line of its own
    except RuntimeError as error:
        why = f'torch {version} was built for numpy 1 and cannot use numpy {_numpy_version()} ({told(error)})'
        return Row('torch', FAULT, version, f"{why}: run `pip install 'numpy<2'`.")
    return Row('torch', OK, version)


def probe_accelerator() -> Row:
    """What training will run on."""
    import torch

    name, built = 'accelerator', torch.version.cuda
    if torch.cuda.is_available():
        return Row(name, OK, f'{torch.cuda.get_device_name(0)}, CUDA {built}')
    if not _has_gpu():
        return Row(name, OK, 'none, so training runs on the CPU, without --amp and FSDP, which need one')
    if built:
        mend = (
            f'torch is built for CUDA {built}, which the NVIDIA driver here does not run: update the driver, '
            'or install a torch for its CUDA (`nvidia-smi` names it), then run `make env`.'
        )
        return Row(name, FAULT, f'a GPU that CUDA {built} cannot use', mend)
    mend = 'there is an NVIDIA GPU, but torch is built without CUDA, so training runs on the CPU: run `make env`.'
    return Row(name, NOTE, 'a GPU that torch cannot use', mend)


def probe_processes() -> Row:
    """What several processes talk through."""
    from torch import distributed

    found = [name for name in ('gloo', 'nccl') if distributed.is_available() and _backend(distributed, name)]
    if 'gloo' in found:
        return Row('processes', OK, ' and '.join(found))
    mend = (
        'this torch has no gloo, through which several processes train on a CPU: '
        'run `pip install --force-reinstall --no-deps torch`.'
    )
    return Row('processes', NOTE, 'one only', mend)


def _backend(distributed, name: str) -> bool:
    return getattr(distributed, f'is_{name}_available')()


def probe_opencv() -> Row:
    """OpenCV, which reads the images."""
    names = 'opencv-python', 'opencv-python-headless'
    try:
        import cv2
        import numpy

        cv2.resize(numpy.zeros((2, 2), numpy.uint8), (4, 4))
    except Exception as error:
        if missing := _SHARED_LIBRARY.search(str(error)):
            mend = (
                f'OpenCV needs {missing[1]}, which this system lacks: run '
                '`pip uninstall -y opencv-python opencv-python-headless && pip install opencv-python-headless`.'
            )
            return Row('opencv', FAULT, f'{missing[1]} is missing', mend)
        if isinstance(error, ModuleNotFoundError) and error.name == 'cv2':
            return Row('opencv', FAULT, 'not installed', 'OpenCV is not installed: run `pip install opencv-python`.')
        return _failed('opencv', error, *names)
    return Row('opencv', OK, cv2.__version__)


def probe_pycocotools() -> Row:
    """pycocotools, which reads masks and computes AP."""
    try:
        import numpy
        from pycocotools import mask

        area = mask.area(mask.encode(numpy.asfortranarray(numpy.ones((2, 2), numpy.uint8))))
    except Exception as error:
        return _failed('pycocotools', error, 'pycocotools')
    if int(area) != 4:
        return broken('pycocotools', ValueError(f'it counts {area} pixels of 4'), 'pip install -U pycocotools')
    return Row('pycocotools', OK, metadata.version('pycocotools'))


def probe_torchvision() -> Row:
    """torchvision, which nothing here needs, but which mmengine's Runner imports where it is."""
    if importlib.util.find_spec('torchvision') is None:
        return Row('torchvision', OK, 'not installed, not needed')
    try:
        import torchvision
    except Exception as error:
        import torch

        mend = (
            f'torchvision does not fit torch {torch.__version__} ({told(error)}), and mmengine imports it before it '
            'trains: run `pip uninstall -y torchvision`, or install the torchvision of this torch.'
        )
        return Row('torchvision', FAULT, 'does not fit torch', mend)
    return Row('torchvision', OK, torchvision.__version__)


def _rebuilt() -> str:
    name = next(iter(installed('mmcv')), 'onedl-mmcv')
    return (
        'MMCV_WITH_OPS=1 FORCE_CUDA=1 pip install --force-reinstall --no-deps --no-build-isolation --no-cache-dir '
        f'--no-binary :all: {name}'
    )


def probe_ops() -> Row:
    """The compiled ops of mmcv, with results that are known."""
    import torch

    name = 'mmcv ops'
    try:
        check_compiled_ops()
        from mmcv.ops import get_compiling_cuda_version
    except ImportError as error:
        missing = _SHARED_LIBRARY.search(str(error))
        if _ABI.search(str(error)) or missing or '`' not in str(error):
            return _failed(name, error, *installed('mmcv'), 'onedl-mmcv')
        return Row(name, FAULT, 'do not load', str(error))
    cuda = get_compiling_cuda_version()
    for device in ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']:
        if device == 'cuda' and 'not available' in cuda:
            why = 'torch uses the GPU, but the ops of mmcv are built for the CPU only'
            return Row(name, FAULT, 'CPU only', f'{why}: run `make env`, or `{_rebuilt()}`.')
        try:
            wrong = _wrong_ops(device)
        except Exception as error:
            return broken(f'{name} on {device}', error, 'make env')._replace(name=name)
        if wrong:
            mend = f'{wrong} of mmcv gives wrong results on {device}, built for another torch: run `make env`.'
            return Row(name, FAULT, 'wrong results', mend)
    return Row(name, OK, 'NMS, RoIAlign and DCN work' + (f', CUDA {cuda}' if 'not available' not in cuda else ''))


def _wrong_ops(device: str) -> str:
    """Return the first op whose result is not the known one."""
    import torch
    from mmcv.ops import modulated_deform_conv2d, nms, roi_align

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], device=device)
    if nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)[1].tolist() != [0, 2]:
        return 'NMS'
    ones = torch.ones(1, 1, 4, 4, device=device)
    pooled = roi_align(ones, torch.tensor([[0.0, 0, 0, 4, 4]], device=device), (1, 1)).tolist()
    if abs(pooled[0][0][0][0] - 1) > 1e-5:
        return 'RoIAlign'
    # a 1x1 kernel of two, moved nowhere
    offset, kernel = torch.zeros(1, 2, 4, 4, device=device), torch.tensor([[[[2.0]]]], device=device)
    bent = modulated_deform_conv2d(ones, offset, ones, kernel, None, 1, 0, 1, 1, 1).tolist()
    return '' if all(abs(value - 2) < 1e-5 for row in bent[0][0] for value in row) else 'DCN'


def probe_package() -> Row:
    """This package; in a process that imported it as a user does."""
    import mmcentermask

    return Row('mmcentermask', OK, f'{mmcentermask.__version__} in {os.path.dirname(mmcentermask.__file__)}')


def probe_runner() -> Row:
    """What mmengine's Runner collects before it does anything."""
    from mmengine.utils.dl_utils import collect_env

    try:
        collect_env()
    except ModuleNotFoundError as error:
        if error.name != 'distutils':
            raise
        why = 'mmengine needs distutils, which Python 3.12 dropped and setuptools brings'
        mend = f"{why}: run `pip install 'setuptools<81'`."
        return Row('runner', FAULT, 'no distutils', mend)
    return Row('runner', OK, 'starts')


PROBES = {
    'numpy': probe_numpy,
    'torch': probe_torch,
    'accelerator': probe_accelerator,
    'processes': probe_processes,
    'opencv': probe_opencv,
    'pycocotools': probe_pycocotools,
    'torchvision': probe_torchvision,
    'mmcv ops': probe_ops,
    'mmcentermask': probe_package,
    'runner': probe_runner,
}
