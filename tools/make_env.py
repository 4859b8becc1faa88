#!/usr/bin/env python3
"""Make the virtual environment that mmcentermask runs in, or mend it, or find at once that it is whole.

``python3 tools/make_env.py`` does all the set-up: the environment, torch, mmcv with compiled ops, mmengine, mmdet and
this package, editable. It needs Python 3.10 to 3.13 and nothing else, but a C++ compiler where no wheel of mmcv fits.
``make demo`` and ``make test`` call it first.
"""

import argparse
import contextlib
import os
import platform
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from environment.gpu_plan import Plan, find_gpu, find_nvcc  # noqa: E402
from environment.health import STAMP, broken_packages, read_stamp, recipe_hash, write_stamp  # noqa: E402
from environment.install import Setup  # noqa: E402
from environment.stacks import ROOT, STACKS, VENVS  # noqa: E402
from environment.steps import StepFailed, clock, say  # noqa: E402


@contextlib.contextmanager
def one_at_a_time(venv: Path):
    """Wait while another process sets up the same environment."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    venv.parent.mkdir(parents=True, exist_ok=True)
    with open(venv.with_name(f'{venv.name}.lock'), 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f'Another set-up of {venv.name} is running; waiting for it.')
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_env(stack: str, venv: Path) -> None:
    """Bring ``venv`` to a whole environment of ``stack``: do nothing, mend it, or make it anew.

    Raises:
        StepFailed: With the sentence to show, when a step went wrong.
    """
    gpu = find_gpu()
    nvcc = find_nvcc() if gpu else None
    digest = recipe_hash(stack, gpu, nvcc)
    stamp = read_stamp(venv)
    setup = Setup(stack, venv, gpu, nvcc)
    note = stamp.get('note', '')
    if venv.exists() and not (venv / 'pyvenv.cfg').exists() and any(venv.iterdir()):
        raise StepFailed(f'{venv} is not a virtual environment: move it away, or pick another folder with VENV=...')
    broken = broken_packages(venv, stamp) if stamp.get('digest') == digest else None
    if broken == []:
        if note:
            say(note)
        return

    started = time.monotonic()
    (venv / STAMP).unlink(missing_ok=True)  # from here on it is half-made, until the stamp is back
    if broken and 'pip' not in broken and not any(name.startswith('torch') or 'mmcv' in name for name in broken):
        say(f'{venv.name} is broken: gone, damaged or of another version: {", ".join(broken)}.')
        setup.plan = Plan('cpu', note)
        setup.reinstall({name: stamp['packages'][name] for name in broken})
        setup.check_imports()
    else:
        if venv.exists():
            why = 'is out of date' if stamp and stamp.get('digest') != digest else 'is broken or half-made'
            say(f'{venv.name} {why}; making it anew.')
        say(
            f'Setting up {venv.name} (the {stack} line, Python {platform.python_version()}). '
            'It takes about 3 minutes where wheels fit, and 10 to 20 where mmcv must be compiled.'
        )
        setup.run()
    write_stamp(venv, stack, digest, setup.plan.note)
    say(f'Set-up of {venv.name} done in {clock(time.monotonic() - started)}.')
    if setup.plan.note:
        say(setup.plan.note)


def _interrupt(*_) -> None:
    """End like Ctrl-C does, so that what runs below ends too."""
    raise KeyboardInterrupt


def main() -> int:
    """Read the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--stack',
        default=os.environ.get('STACK') or 'onedl',
        help='onedl (default) or openmmlab: whose mmcv, mmengine and mmdet',
    )
    parser.add_argument('--venv', help='folder of the environment (default: .venv, or .venv-openmmlab)')
    args = parser.parse_args()
    if args.stack not in STACKS:
        print(f'STACK={args.stack} is unknown: use one of {", ".join(STACKS)}.', file=sys.stderr)
        return 2
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        print(
            f'mmcentermask needs Python 3.10 to 3.13, this is {platform.python_version()}: '
            'name another one, as in `make demo PYTHON=python3.12`.',
            file=sys.stderr,
        )
        return 2
    venv = Path(os.path.abspath(args.venv)) if args.venv else ROOT / VENVS[args.stack]
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with one_at_a_time(venv):
            make_env(args.stack, venv)
    except StepFailed as failure:
        print(f'\n{failure}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nInterrupted; the next run starts the set-up anew.', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
