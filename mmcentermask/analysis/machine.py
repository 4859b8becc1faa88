"""What numbers depend on: the machine and the versions of the packages."""

import os
import platform
from pathlib import Path

import mmcv
import mmdet
import mmengine
import torch

from mmcentermask.version import __version__

__all__ = ['hardware', 'versions']


def hardware(device: str) -> str:
    """Return one line on the machine: the processor, its usable cores and, where it is used, the GPU.

    Args:
        device (str): ``'cpu'``, or the GPU that is used.
    """
    name = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        names = [line.split(':', 1)[1].strip() for line in cpuinfo.read_text().splitlines() if 'model name' in line]
        name = names[0] if names else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    line = f'{name}, {cores} core{"s" if cores != 1 else ""}'
    return f'{torch.cuda.get_device_name(device)}; {line}' if device.startswith('cuda') else line


def versions() -> str:
    """Return one line with the versions of Python and of the packages that compute."""
    packages = [f'{package.__name__} {package.__version__}' for package in (torch, mmcv, mmengine, mmdet)]
    return ', '.join([f'Python {platform.python_version()}', *packages, f'mmcentermask {__version__}'])
