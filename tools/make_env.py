#!/usr/bin/env python3
"""Make the virtual environment of this checkout, finish one that was interrupted, or find at once that it is whole.

``python3 tools/make_env.py [--stack openmmlab]`` installs torch, mmcv with compiled ops, mmengine, mmdet and this
package (editable). It needs Python 3.10 to 3.13, and a C++ compiler where no wheel of mmcv fits. Compiled objects,
wheels and the log are kept in ``build/``.
"""

import argparse
import contextlib
import csv
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
from pathlib import Path

# pip and not uv: uv reads neither PIP_FIND_LINKS nor pip.conf, by which machines without an index get torch and mmcv.
ROOT = Path(__file__).resolve().parent.parent
VERSION = sys.version.split()[0]
TORCH = 'torch==2.13.0'
TORCH_INDEXES = {'': 'cpu', '12': 'cu126'}  # CUDA of the ops -> index of PyTorch; PyPI's torch is for CUDA 13
OPENCV = 'opencv-python<4.13'
COMMON = ['numpy>=1.26,<2.3', OPENCV]  # the newest that onedl-mmdetection allows
COMMON += ['setuptools<81', 'wheel', 'packaging', 'ninja']  # mmengine 0.10.7 and mmcv's setup.py use pkg_resources
STACKS = {  # the versions that were tested together
    'onedl': ['onedl-mmcv==2.3.6', 'onedl-mmengine==0.10.12', 'onedl-mmdetection==3.5.1'],
    'openmmlab': ['mmcv==2.1.0', 'mmengine==0.10.7', 'mmdet==3.3.0'],
}
WHEELS = f'mmcv-cpu-torch{TORCH[7:]}'  # the release of the repository that holds CPU wheels of mmcv
# what is shown of a step's output: compiled files, large downloads, what takes long, a network that does not answer
SHOWN = re.compile(r'\s*(\[\d+/\d+\]|Downloading .*\d [MG]B\)|Installing collected packages|WARNING: Retrying)')


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
    """Run one step with its output in the log and what tells how far it is on the screen; exit where it fails."""
    say(f'{what} ...')
    log, lines = ROOT / 'build' / 'setup.log', []
    log.parent.mkdir(exist_ok=True)
    options = dict(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    options |= dict(errors='replace', env={**os.environ, **env}, start_new_session=True)
    with open(log, 'a') as file, subprocess.Popen([str(part) for part in command], **options) as process:
        try:
            for line in process.stdout:
                file.write(line)
                lines.append(line)
                if shown := SHOWN.match(line):
                    print(f'      {shown[1]}', flush=True)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # its whole session, so that the compilers end too
            raise
    if process.returncode != 0:
        sys.exit(f'{"".join(lines[-12:])}\nThe step "{what}" failed (log: {log}). {hint}')


def find_cuda() -> tuple[str, str, str]:
    """Return the CUDA to build for (``'13'``, ``'12'``, or ``''``: the CPU), its GPUs (``'8.0 9.0'``), and a note."""
    query = output_of('nvidia-smi', '--query-gpu=compute_cap,driver_version', '--format=csv,noheader')
    gpus = re.findall(r'^(\d+\.\d+), (\d+)\.', query or '', re.MULTILINE)
    if not gpus:
        return '', '', ''
    newest = 13 if int(gpus[0][1]) >= 580 else 12  # the CUDA that the driver can run
    home = os.environ.get('CUDA_HOME') or os.environ.get('CUDA_PATH')  # where torch looks, in this order
    nvcc = f'{home}/bin/nvcc' if home else shutil.which('nvcc') or '/usr/local/cuda/bin/nvcc'
    found = re.search(r'release (\d+)\.', output_of(nvcc, '--version') or '')
    if found and 12 <= int(found[1]) <= newest:
        return found[1], ' '.join(sorted({capability for capability, _ in gpus})), ''
    have = f'CUDA {found[1]} of {nvcc} does not fit its driver' if found else 'there is no CUDA compiler (nvcc)'
    return '', '', f'The NVIDIA GPU stays unused, as {have}: install the toolkit of CUDA {newest}, then run it again.'


def answers(url: str) -> bool:
    """Tell whether a page is there; where it is not, pip would try for minutes."""
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(url, timeout=5).close() is None
    return False


def install_mmcv(python: Path, mmcv: str, cuda: str, capabilities: str) -> None:
    """Install mmcv with compiled ops, from a wheel that fits, else from source."""
    torch = output_of(python, '-c', 'import torch; print(torch.__version__)')
    key = f'{mmcv}-torch{torch}-{sys.implementation.cache_tag}-{capabilities.replace(" ", "-") or "cpu"}'
    wheels, source = ROOT / 'build' / 'wheels' / key, ROOT / 'build' / 'mmcv' / key
    wheels.mkdir(parents=True, exist_ok=True)
    install = (python, '-m', 'pip', 'install', '--no-deps')
    links, remote = ['--find-links', wheels], output_of('git', '-C', ROOT, 'remote', 'get-url', 'origin')
    origin = re.search(r'github\.com[:/](.+?)(\.git)?$', remote or '')
    if origin and not cuda and answers(page := f'https://github.com/{origin[1]}/releases/expanded_assets/{WHEELS}'):
        links += ['--find-links', page]
    output_of(*install, '--only-binary', ':all:', *links, mmcv)
    ops = output_of(python, '-c', 'import mmcv.ops as ops; print(ops.get_compiling_cuda_version())')
    if ops is not None and (not cuda or ops.startswith(cuda)):
        return say(f'Found a wheel of {mmcv} that fits.')
    compiler = any(map(shutil.which, (os.environ.get('CXX') or 'c++', 'g++', 'clang++')))
    if not compiler or not Path(sysconfig.get_path('include'), 'Python.h').exists():
        hint = 'install them (on Debian and Ubuntu `apt install g++ python3-dev`), then run it again.'
        sys.exit(f"mmcv must be compiled, but a C++ compiler or Python's headers are missing: {hint}")
    env = dict(MMCV_WITH_OPS='1', FORCE_CUDA='1' if cuda else '0', TORCH_CUDA_ARCH_LIST=capabilities)
    env |= dict(MAX_JOBS=os.environ.get('MAX_JOBS') or str(os.cpu_count() or 1))
    env |= dict(CFLAGS=os.environ.get('CFLAGS') or '-g0 -O2', PATH=f'{python.parent}:{os.environ["PATH"]}')  # ninja
    build = ('--no-deps', '--no-build-isolation', '--no-cache-dir')
    fetch = (python, '-m', 'pip', 'download', *build, '--no-binary', ':all:', '-d', source, mmcv)
    run(f'Fetching the source of {mmcv}', *fetch, **env)
    # compiled in its unpacked source, where ninja finds the objects of an interrupted run: unpacking keeps the times
    shutil.unpack_archive(next(source.glob('*.tar.gz')), source)
    folder = next(path for path in source.iterdir() if path.is_dir())
    wheel = (python, '-m', 'pip', 'wheel', '-v', *build, '-w', wheels, folder)
    run(f'Compiling {mmcv}', *wheel, hint='With too little memory MAX_JOBS=1 helps.', **env)
    run(f'Installing {mmcv}', *install, '--force-reinstall', *wheels.glob('*.whl'))
    shutil.rmtree(source)


def is_whole(venv: Path, packages: list[str]) -> bool:
    """Tell whether packages, given by how the names of their folders begin, have all the files that pip wrote down."""
    files = [venv / 'bin/python', ROOT / 'mmcentermask/.mim']
    for package in packages:
        record = next(venv.glob(f'lib/python*/site-packages/{package}*/RECORD'), None)
        if record is None:
            return False
        names = [row[0] for row in csv.reader(record.read_text().splitlines())]
        files += [os.path.join(record.parent.parent, name) for name in names if not name.endswith('.pyc')]
    return all(map(os.path.exists, files))


def make_env(stack: str, venv: Path, state: Path) -> None:
    """Bring ``venv`` to a whole environment; ``state`` holds what it is made of and, once complete, its packages."""
    cuda, capabilities, note = find_cuda()
    facts = (STACKS[stack], TORCH, COMMON, sys.version, os.uname().machine, cuda, capabilities, str(ROOT))
    recipe = hashlib.sha256(repr((facts, (ROOT / 'setup.py').read_text())).encode()).hexdigest()
    made_of, *packages = state.read_text().split() or ['']
    if made_of == recipe and packages and is_whole(venv, packages):
        return say(note) if note else None
    began, python = time.monotonic(), venv / 'bin/python'
    if made_of == recipe and not packages:
        say(f'Going on with {venv.name}, whose set-up was interrupted.')
    elif venv.exists() and any(venv.iterdir()) and not made_of:
        sys.exit(f'{venv} was not made by this set-up: move it away, or pick another folder with VENV=...')
    else:
        why = ', after removing the old one, which is broken or out of date' if venv.exists() else ''
        say(f'Setting up {venv.name} ({stack}, Python {VERSION}){why}.')
        shutil.rmtree(venv, ignore_errors=True)
        state.write_text(recipe)
    hint = 'On Debian and Ubuntu `apt install python3-venv` brings what is missing.'
    # by the interpreter below, since this one may be that of the environment itself
    run('Making the virtual environment', sys._base_executable, '-m', 'venv', venv, hint=hint)
    url = f'https://download.pytorch.org/whl/{TORCH_INDEXES.get(cuda)}'
    found = sys.platform == 'linux' and cuda in TORCH_INDEXES and answers(f'{url}/torch/')
    index = ['--extra-index-url', url] if found else []
    pinned, install = [TORCH, *STACKS[stack]], (python, '-m', 'pip', 'install')
    mmcv, mmengine, _ = STACKS[stack]
    run(f'Installing {TORCH} and {mmengine}', *install, '--upgrade', 'pip', TORCH, mmengine, *COMMON, *index)
    if cuda and output_of(python, '-c', 'import torch; print(torch.version.cuda)') == 'None':
        note = 'The NVIDIA GPU stays unused, as pip found a CPU build of torch: unset PIP_FIND_LINKS, delete '
        cuda, capabilities, note = '', '', f'{note}{venv} and run it again.'
    if output_of(python, '-c', 'import cv2') is None:  # libGL and the like are missing
        opencv = OPENCV.replace('python', 'python-headless')
        run('Installing opencv without windows', *install, '--no-deps', '--force-reinstall', opencv)
    install_mmcv(python, mmcv, cuda, capabilities)
    own = ('-e', f'{ROOT}[tests,dev]')
    run('Installing mmdet and this package', *install, '--no-build-isolation', *pinned, *COMMON, *own)
    run('Trying the environment', python, '-m', 'mmcentermask.doctor', hint=f'Delete {venv} and run it again.')
    folders = [path.name for path in venv.glob('lib/python*/site-packages/*.dist-info')]
    fixed = tuple(pin.replace('-', '_').replace('==', '-') for pin in pinned)  # of others you may change the version
    packages = [name if name.startswith(fixed) else f'{name.split("-")[0]}-' for name in folders]
    state.write_text('\n'.join([recipe, *packages]))
    say(f'{venv.name} is ready after {time.monotonic() - began:.0f} s.{note and " " + note}')


def main() -> int:
    """Read the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--stack', default='onedl', choices=STACKS, help='whose mmcv, mmengine and mmdet')
    parser.add_argument('--venv', help='folder of the environment (default: .venv, or .venv-openmmlab)')
    args = parser.parse_args()
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        parser.error(f'mmcentermask needs Python 3.10 to 3.13, this is {VERSION}: name one, as in PYTHON=python3.12.')
    venv = Path(os.path.abspath(args.venv or ROOT / ('.venv' if args.stack == 'onedl' else f'.venv-{args.stack}')))
    venv.parent.mkdir(parents=True, exist_ok=True)
    state = venv.with_name(f'{venv.name}.lock')
    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored where a script started this in the background
        signal.signal(number, signal.default_int_handler)
    try:
        with open(state, 'a') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                say(f'Waiting for another set-up of {venv.name}.')
                fcntl.flock(lock, fcntl.LOCK_EX)
            make_env(args.stack, venv, state)
    except KeyboardInterrupt:
        print('\nInterrupted; the next run goes on from here.', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
