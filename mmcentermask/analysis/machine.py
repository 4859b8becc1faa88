"""What measurements depend on: the machine, the versions of the packages, and the memory of the process."""

import ctypes
import gc
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path

import mmcv
import mmdet
import mmengine
import torch

from mmcentermask.version import __version__


def hardware(device: str) -> str:
    """Return one line on the machine: the processor, its usable cores and, where ``device`` is one, the GPU."""
    cpuinfo = Path('/proc/cpuinfo')
    found = re.search(r'model name\s*: (.*)', cpuinfo.read_text()) if cpuinfo.is_file() else None
    name = found[1] if found else platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    line = f'{name}, {cores} core{"s" if cores != 1 else ""}'
    return f'{torch.cuda.get_device_name(device)}; {line}' if device.startswith('cuda') else line


def versions() -> str:
    """Return one line with the versions of Python and of the packages that compute."""
    packages = [f'{package.__name__} {package.__version__}' for package in (torch, mmcv, mmengine, mmdet)]
    return ', '.join([f'Python {platform.python_version()}', *packages, f'mmcentermask {__version__}'])


def peak_memory(run: Callable[[], object], device: str) -> int | None:
    """Run a function once and return its peak memory in bytes beyond what was in use before.

    On a GPU that of torch's allocator; on CPU that of the whole process, which Linux alone reports: None elsewhere.
    """
    gc.collect()
    if device.startswith('cuda'):
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    reset = Path('/proc/self/clear_refs')
    if reset.exists() and hasattr(ctypes.CDLL(None), 'malloc_trim'):
        ctypes.CDLL(None).malloc_trim(0)  # or freed memory of an earlier run would be used again unseen
    try:
        reset.write_text('5')  # resets VmHWM
    except OSError:  # Linux alone has it, and may forbid it
        run()
        return None
    before = _status('VmRSS')
    run()
    return max(0, _status('VmHWM') - before)


def _status(name: str) -> int:
    return 1024 * int(re.search(rf'{name}:\s*(\d+) kB', Path('/proc/self/status').read_text())[1])
