"""The steps that make an environment from nothing, or put back what is missing in it."""

import os
import shutil
import sys
import sysconfig
import urllib.request
from pathlib import Path

from .gpu_plan import Plan, plan_ops
from .health import venv_python
from .stacks import BUILD_TOOLS, COMMON, ONEDL_WHEELS, ROOT, STACKS, TORCH, TORCH_CPU_INDEX
from .steps import StepFailed, output_of, run_step, say

# Runs inside the environment once it is made: the ops that CenterMask needs, with results that are known.
CHECK_IMPORTS = """
import sys
import torch, cv2, mmengine, mmdet
from mmcv.ops import get_compiling_cuda_version, nms, roi_align
device = 'cuda' if sys.argv[1] == 'cuda' else 'cpu'
boxes = torch.tensor([[0., 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], device=device)
kept = nms(boxes, torch.tensor([.9, .8, .7], device=device), 0.5)[1]
assert kept.tolist() == [0, 2], f'nms kept {kept.tolist()}, not [0, 2]'
pooled = roi_align(torch.ones(1, 1, 8, 8, device=device), torch.tensor([[0., 0, 0, 4, 4]], device=device), (2, 2))
assert torch.allclose(pooled, torch.ones_like(pooled)), 'roi_align of ones is not one'
if device == 'cuda':
    assert get_compiling_cuda_version() != 'not available', 'mmcv was built without CUDA'
"""

# Runs inside the environment before mmengine and opencv are there, so it loads only the compiled part of mmcv.
CHECK_OPS = """
import importlib.util, torch
from importlib.machinery import PathFinder
spec = PathFinder.find_spec('_ext', list(importlib.util.find_spec('mmcv').submodule_search_locations))
ops = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ops)
print(ops.get_compiling_cuda_version())
"""


def base_python() -> str:
    """Return the interpreter below this one: the environment that is made anew must not be the one we run in."""
    return getattr(sys, '_base_executable', None) or sys.executable


def reachable(url: str) -> bool:
    """Tell whether ``url`` answers within five seconds."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (OSError, ValueError):
        return False


class Setup:
    """The steps of one set-up; each prints what it does, and how long it took."""

    def __init__(self, stack: str, venv: Path, gpu: str | None, nvcc: str | None):
        self.stack, self.venv, self.gpu, self.nvcc = stack, venv, gpu, nvcc
        self.python = venv_python(venv)
        self.logs = ROOT / '.env-logs'
        self.mmcv = STACKS[stack]['mmcv']
        self.plan = Plan('cpu', '')

    def pip(self, what: str, takes: str, *args: str, mend: str = '', env: dict | None = None) -> None:
        """Run pip in the environment as one step."""
        mend = mend or 'Check the network connection and the free disk space, then run the same command again.'
        command = [self.python, '-m', 'pip', *args, '--disable-pip-version-check', '--no-input']
        run_step(what, takes, command, self.logs, mend, env)

    def run(self) -> None:
        """Make the environment from nothing."""
        if self.venv.exists():
            shutil.rmtree(self.venv)
        run_step(
            'Making the virtual environment',
            '10 s',
            [base_python(), '-m', 'venv', self.venv],
            self.logs,
            'On Debian and Ubuntu `apt install python3-venv` brings what is missing.',
        )
        self.pip('Installing the build tools', '10 s', 'install', '--upgrade', 'pip', *BUILD_TOOLS)
        self.install_torch()
        self.plan = plan_ops(self.gpu, self.nvcc, self.torch_cuda(), self.stack)
        self.install_mmcv()
        self.pip(
            'Installing mmengine, mmdet and this package',
            '1 minute',
            'install',
            '--no-build-isolation',
            TORCH,
            *COMMON,
            self.mmcv,
            *STACKS[self.stack]['others'],
            '-e',
            f'{ROOT}[tests,dev]',
        )
        self.mend_opencv()
        self.check_imports()

    def torch_cuda(self) -> str | None:
        """Return the CUDA version that the installed torch was built with, such as '13.0'."""
        return output_of([self.python, '-c', 'import torch; print(torch.version.cuda or "")']) or None

    def install_torch(self) -> None:
        """Install torch: a wheel that pip is already pointed at, else the CPU build unless there is an NVIDIA GPU."""
        at_hand = [self.python, '-m', 'pip', 'install', '--dry-run', '--no-index', '--no-deps', TORCH]
        if not self.gpu and output_of(at_hand, timeout=300) is not None:
            self.pip(f'Installing {TORCH} from the wheels at hand', '30 s', 'install', TORCH, *COMMON[:1])
            return
        extra, takes = [], '10 minutes (about 3 GB with its CUDA libraries)'
        if sys.platform == 'darwin':
            takes = '1 minute'
        elif not self.gpu and reachable(f'{TORCH_CPU_INDEX}/torch/'):
            extra, takes = ['--extra-index-url', TORCH_CPU_INDEX], '2 minutes (about 200 MB)'
        self.pip(f'Installing {TORCH}', takes, 'install', TORCH, *COMMON[:1], *extra)

    def wheelhouse(self) -> Path:
        """Return the folder that keeps the mmcv wheel built here, one for each torch, Python and kind of ops."""
        version = output_of([self.python, '-c', 'import torch; print(torch.__version__)'])
        arch = self.plan.arch if self.plan.kind == 'build' else 'cpu'
        return ROOT / 'build' / 'wheels' / f'torch{version}-{sys.implementation.cache_tag}-{arch}'

    def install_mmcv(self) -> None:
        """Install mmcv with compiled ops: a wheel that fits, else from source."""
        house = self.wheelhouse()
        links = ['--find-links', str(house)] if house.is_dir() else []
        if self.plan.kind == 'prebuilt':
            version = output_of([self.python, '-c', 'import torch; print(torch.__version__)']) or ''
            minor = ''.join(version.split('.')[:2]) + '0'
            links += ['--find-links', ONEDL_WHEELS.format(cuda=self.plan.cuda.replace('.', ''), torch=minor)]
        wants_cuda = self.plan.kind != 'cpu'
        if (self.plan.kind != 'build' or links) and self.install_mmcv_wheel(links, wants_cuda):
            return
        if self.plan.kind == 'prebuilt':
            self.plan = Plan(
                'cpu',
                'This machine has an NVIDIA GPU, but mmcv gets CPU ops only, because no prebuilt '
                f'wheel fits {TORCH} and there is no nvcc: install the CUDA toolkit '
                f'{self.plan.cuda} and run `make env` again.',
            )
            if self.install_mmcv_wheel([], False):
                return
        self.build_mmcv(self.wheelhouse())

    def install_mmcv_wheel(self, links: list[str], wants_cuda: bool) -> bool:
        """Try a wheel of mmcv; tell whether one was found and its ops load with this torch."""
        pip = [self.python, '-m', 'pip']
        wheel = [*pip, 'install', '--no-deps', '--only-binary', ':all:', '--force-reinstall', *links, self.mmcv]
        if output_of(wheel, timeout=900) is None:
            return False
        cuda = output_of([self.python, '-c', CHECK_OPS])
        if cuda is not None and (not wants_cuda or 'not available' not in cuda):
            say(f'Found a wheel of {self.mmcv} that fits.')
            return True
        say(f'Found a wheel of {self.mmcv}, but it was built for another torch or without CUDA.')
        output_of([*pip, 'uninstall', '-y', self.mmcv.split('==')[0]])
        return False

    def build_mmcv(self, house: Path) -> None:
        """Build the wheel of mmcv with its ops and keep it, so that a new environment need not build it again."""
        if not any(shutil.which(name) for name in (os.environ.get('CXX') or 'c++', 'g++', 'clang++')):
            raise StepFailed(
                'mmcv must be built from source, but no C++ compiler was found: install one '
                '(on Debian and Ubuntu `apt install g++`), then run the same command again.'
            )
        if not Path(sysconfig.get_path('include'), 'Python.h').exists():
            raise StepFailed(
                'mmcv must be built from source, but the headers of Python are missing: install them '
                '(on Debian and Ubuntu `apt install python3-dev`), then run the same command again.'
            )
        jobs = int(os.environ.get('MAX_JOBS') or os.cpu_count() or 1)
        env = {
            'MMCV_WITH_OPS': '1',
            'MAX_JOBS': str(jobs),
            'FORCE_CUDA': '0',
            'CFLAGS': os.environ.get('CFLAGS') or '-g0 -O2',
            'PATH': f'{self.python.parent}{os.pathsep}{os.environ.get("PATH", "")}',  # ninja is in there
        }
        takes = f'about {max(1, round(15 / jobs))} minutes on {jobs} cores'
        if self.plan.kind == 'build':
            env |= {'FORCE_CUDA': '1', 'TORCH_CUDA_ARCH_LIST': self.plan.arch}
            takes = f'5 to 60 minutes on {jobs} cores'
        unfinished = house.with_name(f'{house.name}.tmp')
        shutil.rmtree(unfinished, ignore_errors=True)
        self.pip(
            f'Building {self.mmcv} with its ops from source',
            takes,
            'wheel',
            '-v',
            '--no-deps',
            '--no-build-isolation',
            '--no-cache-dir',
            '--no-binary',
            ':all:',
            '-w',
            str(unfinished),
            self.mmcv,
            env=env,
            mend="The log holds the compiler's message; with too little memory, MAX_JOBS=1 helps.",
        )
        shutil.rmtree(house, ignore_errors=True)
        os.replace(unfinished, house)
        self.pip(f'Installing {self.mmcv}', '5 s', 'install', '--no-deps', *map(str, house.glob('*.whl')))

    def mend_opencv(self) -> None:
        """Put opencv's build without a window system in place where its libraries are missing."""
        if output_of([self.python, '-c', 'import cv2']) is None:
            version = output_of(
                [self.python, '-c', 'from importlib.metadata import version as v; print(v("opencv-python"))']
            )
            self.pip(
                'Replacing opencv by its build for machines without a screen',
                '20 s',
                'install',
                '--no-deps',
                '--force-reinstall',
                f'opencv-python-headless=={version}',
            )

    def check_imports(self) -> None:
        """Run the ops that CenterMask needs once, in the new environment."""
        kind = 'cpu' if self.plan.kind == 'cpu' else 'cuda'
        run_step(
            'Trying the new environment',
            '15 s',
            [self.python, '-c', CHECK_IMPORTS, kind],
            self.logs,
            'Delete the folder of the environment and run the same command again; the log says what failed.',
        )

    def reinstall(self, packages: dict[str, str]) -> None:
        """Put back packages of which files are missing, in the versions they had."""
        house = self.wheelhouse()
        links = ['--find-links', str(house)] if house.is_dir() else []
        packages.pop('mmcentermask', None)
        if packages:
            pins = [f'{name}=={version}' for name, version in packages.items()]
            self.pip(
                f'Putting back {", ".join(packages)}',
                '1 minute',
                'install',
                '--force-reinstall',
                '--no-deps',
                '--no-build-isolation',
                *links,
                *pins,
            )
        self.pip('Installing this package', '5 s', 'install', '--no-build-isolation', '--no-deps', '-e', str(ROOT))
