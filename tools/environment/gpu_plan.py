"""Decides whether mmcv's ops are built for the CPU or for this machine's NVIDIA GPU. Pure but for the two finders."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from .steps import output_of


@dataclass(frozen=True)
class Plan:
    """How mmcv gets its ops.

    Args:
        kind: 'cpu' (CPU ops), 'build' (CUDA ops, compiled here) or 'prebuilt' (CUDA ops, a wheel of the maintained
            line).
        note: One sentence for the user when a GPU stays unused, else ''.
        arch: Compute capability of the GPU, such as '9.0'; for 'build'.
        cuda: CUDA version that torch was built with, such as '13.0'; for 'build' and 'prebuilt'.
    """

    kind: str
    note: str
    arch: str = ''
    cuda: str = ''


def find_gpu() -> str | None:
    """Return the compute capability of the first NVIDIA GPU ('9.0'), or None: nvidia-smi must run and name one.

    nvcc says nothing here: it can be installed on a machine without a GPU.
    """
    if shutil.which('nvidia-smi') is None:
        return None
    answer = output_of(['nvidia-smi', '--query-gpu=compute_cap', '--format=csv,noheader'], timeout=30)
    found = re.search(r'^\s*(\d+\.\d+)\s*$', answer or '', re.MULTILINE)
    return found.group(1) if found else None


def find_nvcc() -> str | None:
    """Return the version of the CUDA compiler that torch would use ('13.0'), or None."""
    home = os.environ.get('CUDA_HOME') or os.environ.get('CUDA_PATH')
    nvcc = str(Path(home, 'bin', 'nvcc')) if home else shutil.which('nvcc') or '/usr/local/cuda/bin/nvcc'
    found = re.search(r'release (\d+\.\d+)', output_of([nvcc, '--version']) or '')
    return found.group(1) if found else None


def plan_ops(gpu: str | None, nvcc: str | None, torch_cuda: str | None, stack: str = 'onedl') -> Plan:
    """Choose how mmcv gets its ops.

    Args:
        gpu: Compute capability of this machine's GPU, None without one.
        nvcc: Version of the CUDA compiler, None without one.
        torch_cuda: CUDA version that the installed torch was built with, None for a CPU build.
        stack: The dependency line; only 'onedl' has prebuilt wheels.
    """
    if gpu is None:
        return Plan('cpu', '')
    begin = 'This machine has an NVIDIA GPU, but mmcv gets CPU ops only, because '
    if torch_cuda is None:
        return Plan(
            'cpu',
            f'{begin}the torch that pip found is a CPU build: let pip find the CUDA build of torch '
            '(unset PIP_FIND_LINKS, say), delete the environment and run `make env` again.',
        )
    # torch refuses to build extensions with a compiler of another major version.
    if nvcc is not None and nvcc.split('.')[0] == torch_cuda.split('.')[0]:
        return Plan('build', '', arch=gpu, cuda=torch_cuda)
    if stack == 'onedl':
        return Plan('prebuilt', '', cuda=torch_cuda)
    have = 'there is no nvcc' if nvcc is None else f'nvcc {nvcc} does not fit a torch built with CUDA {torch_cuda}'
    return Plan('cpu', f'{begin}{have}: install the CUDA toolkit {torch_cuda} and run `make env` again.')
