#!/usr/bin/env python3
"""Make the virtual environment of this checkout, finish one that was interrupted, or find at once that it is whole.

``python3 tools/make_env.py [--stack openmmlab]`` installs torch, mmcv with compiled ops, mmengine, mmdet and this
package (editable). It needs Python 3.10 to 3.13, and a C++ compiler where no wheel of mmcv fits. Built wheels, objects
and logs are kept in ``build/``.
"""

import argparse
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.request
from pathlib import Path

# pip and not uv: uv reads neither PIP_FIND_LINKS nor pip.conf, by which machines without an index get torch and mmcv.
ROOT = Path(__file__).resolve().parent.parent
TORCH = 'torch==2.13.0'
TORCH_INDEX = 'https://download.pytorch.org/whl/{}'
ONEDL_WHEELS = 'https://mmwheels.onedl.ai/cu{cuda}-torch{torch}/simple/onedl-mmcv/index.html'
BUILD_TOOLS = ['setuptools<81', 'wheel', 'packaging', 'ninja']  # mmengine 0.10.7 and mmcv's setup.py use pkg_resources
COMMON = ['numpy>=1.26,<2.3', 'opencv-python<4.13']  # the newest that onedl-mmdetection allows
STACKS = {  # the versions that were tested together, mmcv first
    'onedl': ['onedl-mmcv==2.3.6', 'onedl-mmengine==0.10.12', 'onedl-mmdetection==3.5.1'],
    'openmmlab': ['mmcv==2.1.0', 'mmengine==0.10.7', 'mmdet==3.3.0'],
}
VENVS = {'onedl': '.venv', 'openmmlab': '.venv-openmmlab'}
STAMP = 'mmcentermask-env.json'
HEARTBEAT = 20  # seconds between two signs of life

# The following three run inside the environment. Name -> [version, whether all its files are there].
LIST_PACKAGES = """
import csv, importlib.metadata, json, os, sysconfig
site, found = sysconfig.get_path('purelib'), {}
for dist in importlib.metadata.distributions(path=[site]):
    name = ((dist.metadata and dist.metadata['Name']) or '').lower().replace('_', '-')
    whole = dist.read_text('RECORD') is not None
    for path, _, size in csv.reader((dist.read_text('RECORD') or '').splitlines()):
        path = os.path.join(site, path)
        # both builds of opencv claim the same files
        if not path.endswith('.pyc') and not (os.path.exists(path) and (
            not size or 'opencv' in name or int(size) == os.stat(path).st_size)):
            whole = False
    found[name] = [dist.version if name else '', whole]
print(json.dumps(found))
"""
# Loads only the compiled part of mmcv, since mmengine and opencv are not there yet.
CHECK_OPS = """
import importlib.util, torch
from importlib.machinery import PathFinder
spec = PathFinder.find_spec('_ext', list(importlib.util.find_spec('mmcv').submodule_search_locations))
ops = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ops)
print(ops.get_compiling_cuda_version())
"""
CHECK_IMPORTS = """
import sys, torch, cv2, mmengine, mmdet
from mmcv.ops import nms
boxes = torch.tensor([[0., 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], device=sys.argv[1])
kept = nms(boxes, torch.tensor([.9, .8, .7], device=sys.argv[1]), 0.5)[1].tolist()
assert kept == [0, 2], f'nms kept {kept}, not [0, 2]'
"""


class SetupError(Exception):
    """The set-up cannot go on; the message is the sentence to show."""


def say(text: str) -> None:
    """Print one line at once, even into a pipe."""
    print(f'[env] {text}', flush=True)


def output_of(*command: object) -> str | None:
    """Return what a command prints, or None when it is missing or fails."""
    try:
        done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def run(what: str, *command: object, hint: str = 'Check the network and the disk, then run it again.', **env) -> None:
    """Run one step with its output in a log, and print a sign of life now and then.

    Raises:
        SetupError: If it does not end with exit code 0; shows the end of the log.
    """
    log = ROOT / 'build' / 'logs' / (re.sub(r'[^a-z0-9]+', '-', what.lower()).strip('-') + '.log')
    log.parent.mkdir(parents=True, exist_ok=True)
    say(f'{what} ...')
    began = time.monotonic()
    with open(log, 'wb') as file:
        options = dict(stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={**os.environ, **env})
        # a session of its own, so that an interrupt ends the compilers too
        process = subprocess.Popen([str(part) for part in command], start_new_session=True, **options)
        try:
            while process.poll() is None:
                try:
                    process.wait(HEARTBEAT)
                except subprocess.TimeoutExpired:
                    counts = re.findall(rb'\[(\d+/\d+)\]', log.read_bytes()[-20000:])
                    files = f', {counts[-1].decode()} files' if counts else ''
                    say(f'    {time.monotonic() - began:.0f} s{files}')
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    if process.returncode != 0:
        print(*log.read_text(errors='replace').splitlines()[-12:], sep='\n', file=sys.stderr)
        raise SetupError(f'The step "{what}" failed (log: {log}). {hint}')
    say(f'    done in {time.monotonic() - began:.0f} s')


def find_gpu() -> tuple[str, str] | None:
    """Return the compute capability of the first NVIDIA GPU and the CUDA of its driver, ('9.0', '13.0'), or None."""
    found = re.match(r'\d+\.\d+', output_of('nvidia-smi', '--query-gpu=compute_cap', '--format=csv,noheader') or '')
    driver = re.search(r'CUDA[ \w]* Version: *(\d+\.\d+)', output_of('nvidia-smi') or '')
    return (found[0], driver[1] if driver else '') if found else None


def find_nvcc() -> str | None:
    """Return the version of the CUDA compiler that torch would use ('13.0'), or None."""
    home = os.environ.get('CUDA_HOME') or os.environ.get('CUDA_PATH')
    nvcc = f'{home}/bin/nvcc' if home else shutil.which('nvcc') or '/usr/local/cuda/bin/nvcc'
    found = re.search(r'release (\d+\.\d+)', output_of(nvcc, '--version') or '')
    return found[1] if found else None


def choose_index(gpu: tuple[str, str] | None) -> str | None:
    """Return which of PyTorch's indexes has the torch of this machine, None for PyPI's (CUDA 13 on Linux)."""
    if sys.platform != 'linux':
        return None
    return 'cpu' if gpu is None else 'cu126' if gpu[1].startswith('12.') else None


def choose_ops(gpu: object, nvcc: str | None, torch_cuda: str | None, stack: str) -> tuple[str, str]:
    """Choose the ops of mmcv.

    Returns:
        tuple: 'cpu', 'build' (CUDA ops, compiled here) or 'prebuilt' (CUDA ops of the maintained line's wheels), and
        a sentence for the user where a GPU stays unused, else ''.
    """
    if gpu is None:
        return 'cpu', ''
    begin = 'This machine has an NVIDIA GPU, but mmcv gets CPU ops only, because '
    if torch_cuda is None:
        return 'cpu', f'{begin}pip found a CPU build of torch: unset PIP_FIND_LINKS, delete the environment, try again.'
    if nvcc is not None and nvcc.split('.')[0] == torch_cuda.split('.')[0]:  # torch refuses another major version
        return 'build', ''
    if stack == 'onedl':
        return 'prebuilt', ''
    have = f'nvcc {nvcc} does not fit torch' if nvcc else 'there is no nvcc'
    return 'cpu', f'{begin}{have}: install the CUDA toolkit {torch_cuda}, delete the environment, try again.'


def reachable(url: str) -> bool:
    """Tell whether ``url`` answers within five seconds: pip would try for minutes."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def install_mmcv(python: Path, stack: str, gpu: tuple[str, str] | None, nvcc: str | None) -> tuple[str, str]:
    """Install mmcv with compiled ops, from a wheel that fits, else from source; return the device and the note."""
    mmcv, pip = STACKS[stack][0], (python, '-m', 'pip')
    versions = output_of(python, '-c', 'import torch; print(torch.__version__, torch.version.cuda or "")') or ''
    version, _, cuda = versions.partition(' ')
    kind, note = choose_ops(gpu, nvcc, cuda or None, stack)
    key = f'torch{version}-{sys.implementation.cache_tag}-{gpu[0] if kind == "build" else "cpu"}'
    house = ROOT / 'build' / 'wheels' / key
    links = ['--find-links', house] if house.is_dir() else []
    if kind == 'prebuilt':
        minor = ''.join(version.split('.')[:2]) + '0'
        links += ['--find-links', ONEDL_WHEELS.format(cuda=cuda.replace('.', ''), torch=minor)]
    if output_of(*pip, 'install', '--no-deps', '--only-binary', ':all:', *links, mmcv) is not None:
        built_with = output_of(python, '-c', CHECK_OPS)
        if built_with is not None and (kind == 'cpu' or built_with != 'not available'):
            say(f'Found a wheel of {mmcv} that fits.')
            return 'cpu' if kind == 'cpu' else 'cuda', note
        output_of(*pip, 'uninstall', '-y', mmcv.split('==')[0])
    if kind == 'prebuilt':
        kind, note = (
            'cpu',
            f'No prebuilt mmcv fits {TORCH} with CUDA {cuda}, so its ops run on the CPU only: install the ',
        )
        note += f'CUDA toolkit {cuda}, delete the environment, try again.'
    compilers = (os.environ.get('CXX') or 'c++', 'g++', 'clang++')
    if not any(map(shutil.which, compilers)) or not Path(sysconfig.get_path('include'), 'Python.h').exists():
        raise SetupError(
            "mmcv must be compiled, but a C++ compiler or Python's headers are missing: install them "
            '(on Debian and Ubuntu `apt install g++ python3-dev`), then run it again.'
        )
    env = dict(MMCV_WITH_OPS='1', FORCE_CUDA='0', MAX_JOBS=os.environ.get('MAX_JOBS') or str(os.cpu_count() or 1))
    env |= dict(CFLAGS=os.environ.get('CFLAGS') or '-g0 -O2', PATH=f'{python.parent}:{os.environ["PATH"]}')  # ninja
    if kind == 'build':
        env |= dict(FORCE_CUDA='1', TORCH_CUDA_ARCH_LIST=gpu[0])
    # compiled in its unpacked source, where ninja finds the objects of an interrupted run
    source = ROOT / 'build' / 'mmcv' / f'{key}-{mmcv}'
    if not source.exists():
        partial = source.with_name(source.name + '.part')
        shutil.rmtree(partial, ignore_errors=True)
        fetch = ('download', '--no-deps', '--no-build-isolation', '--no-binary', ':all:', '-d', partial, mmcv)
        run(f'Fetching the source of {mmcv}', *pip, *fetch, **env)
        with tarfile.open(next(partial.glob('*.tar.gz'))) as archive:
            archive.extractall(partial)
        os.replace(partial, source)
    folder = next(path for path in source.iterdir() if path.is_dir())
    wheel = ('wheel', '-v', '--no-deps', '--no-build-isolation', '--no-cache-dir', '-w', source, folder)
    run(f'Compiling {mmcv}', *pip, *wheel, hint='With too little memory MAX_JOBS=1 helps.', **env)
    built = next(source.glob('*.whl'))
    house.mkdir(parents=True, exist_ok=True)
    shutil.copy(built, house / f'{built.name}.part')
    os.replace(house / f'{built.name}.part', house / built.name)
    run(f'Installing {mmcv}', *pip, 'install', '--no-deps', house / built.name)
    shutil.rmtree(source)
    return 'cpu' if kind == 'cpu' else 'cuda', note


def read_stamp(venv: Path) -> dict:
    """Return what a set-up wrote down: its recipe, and once it is complete its packages and note."""
    try:
        stamp = json.loads((venv / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def is_whole(venv: Path, packages: dict, stack: str) -> bool:
    """Tell whether the packages are still there with all their files, the pinned ones in their versions."""
    found = json.loads(output_of(venv / 'bin/python', '-I', '-c', LIST_PACKAGES) or '{}')
    pinned = dict(pin.split('==') for pin in (TORCH, *STACKS[stack]))
    versions_fit = all(found.get(name, ['none'])[0].startswith(version) for name, version in pinned.items())
    return (
        versions_fit and all(found.get(name, [0, 0])[1] for name in packages) and (ROOT / 'mmcentermask/.mim').exists()
    )


def make_env(stack: str, venv: Path) -> None:
    """Bring ``venv`` to a whole environment of ``stack``.

    Raises:
        SetupError: With the sentence to show, when a step went wrong.
    """
    gpu = find_gpu()
    nvcc = find_nvcc() if gpu else None
    facts = (STACKS[stack], TORCH, COMMON, BUILD_TOOLS, sys.version, platform.machine(), gpu, nvcc, str(ROOT))
    recipe = hashlib.sha256(repr((facts, (ROOT / 'setup.py').read_text())).encode()).hexdigest()
    stamp, python = read_stamp(venv), venv / 'bin/python'
    if stamp.get('recipe') == recipe and stamp.get('packages') and is_whole(venv, stamp['packages'], stack):
        if stamp['note']:
            say(stamp['note'])
        return
    if venv.exists() and not (venv / 'pyvenv.cfg').exists() and any(venv.iterdir()):
        raise SetupError(f'{venv} is not a virtual environment: move it away, or pick another folder with VENV=...')
    began, pip = time.monotonic(), (python, '-m', 'pip')
    if stamp == dict(recipe=recipe) and output_of(*pip, '--version'):
        say(f'Going on with {venv.name}, whose set-up was interrupted.')
    else:
        why = ', since the old one is broken or out of date' if venv.exists() else ''
        say(f'Setting up {venv.name} ({stack}, Python {platform.python_version()}){why}.')
        shutil.rmtree(venv, ignore_errors=True)
        base = getattr(sys, '_base_executable', None) or sys.executable  # not the environment that is made anew
        hint = 'On Debian and Ubuntu `apt install python3-venv` brings what is missing.'
        run('Making the virtual environment', base, '-m', 'venv', venv, hint=hint)
        (venv / STAMP).write_text(json.dumps(dict(recipe=recipe)))
    run('Installing the build tools', *pip, 'install', '--upgrade', 'pip', *BUILD_TOOLS)
    index = choose_index(gpu)
    index = TORCH_INDEX.format(index) if index else ''
    extra = ['--extra-index-url', index] if index and reachable(f'{index}/torch/') else []
    run(f'Installing {TORCH}', *pip, 'install', TORCH, COMMON[0], *extra)
    device, note = install_mmcv(python, stack, gpu, nvcc)
    packages = (TORCH, *COMMON, *STACKS[stack], '-e', f'{ROOT}[tests,dev]')
    run('Installing mmengine, mmdet and this package', *pip, 'install', '--no-build-isolation', *packages)
    if output_of(python, '-c', 'import cv2') is None:  # libGL and the like are missing
        version = output_of(python, '-c', 'from importlib.metadata import version as v; print(v("opencv-python"))')
        opencv = f'opencv-python-headless=={version}'
        run('Installing opencv without windows', *pip, 'install', '--no-deps', '--force-reinstall', opencv)
    run('Trying the environment', python, '-c', CHECK_IMPORTS, device, hint=f'Delete {venv} and run it again.')
    listed = json.loads(output_of(python, '-I', '-c', LIST_PACKAGES))
    done = dict(recipe=recipe, packages={name: version for name, (version, _) in listed.items()}, note=note)
    (venv / f'{STAMP}.part').write_text(json.dumps(done, indent=1))
    os.replace(venv / f'{STAMP}.part', venv / STAMP)
    say(f'{venv.name} is ready after {time.monotonic() - began:.0f} s.{" " + note if note else ""}')


def main() -> int:
    """Read the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--stack', default='onedl', help='onedl (default) or openmmlab: whose mmcv, mmengine and mmdet')
    parser.add_argument('--venv', help='folder of the environment (default: .venv, or .venv-openmmlab)')
    args = parser.parse_args()
    if args.stack not in STACKS:
        parser.error(f'STACK={args.stack} is unknown: use {" or ".join(STACKS)}.')
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        version = platform.python_version()
        parser.error(f'mmcentermask needs Python 3.10 to 3.13, this is {version}: name one, as in PYTHON=python3.12.')
    venv = Path(os.path.abspath(args.venv or ROOT / VENVS[args.stack]))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C
    try:
        venv.parent.mkdir(parents=True, exist_ok=True)
        with open(venv.with_name(f'{venv.name}.lock'), 'w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                say(f'Waiting for another set-up of {venv.name}.')
                fcntl.flock(lock, fcntl.LOCK_EX)
            make_env(args.stack, venv)
    except SetupError as error:
        print(f'\n{error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nInterrupted; the next run goes on from here.', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
