"""Tells whether an environment is whole: a stamp written as the last act of a set-up, and a look at every file."""

import contextlib
import hashlib
import json
import os
import platform
import sys
import sysconfig
from pathlib import Path

from .stacks import BUILD_TOOLS, COMMON, ROOT, STACKS, TORCH
from .steps import StepFailed, output_of

STAMP = 'mmcentermask-env.json'

# Runs inside the environment. Compares every file with the list that its package brought along, and prints the names
# of the packages that miss files. Files that two packages claim (both opencv packages do) are only looked for.
CHECK_FILES = """
import csv, importlib.metadata, json, os, sys
wanted, broken, rows, claims = json.loads(sys.argv[1]), set(), [], {}
for dist in importlib.metadata.distributions(path=[sys.argv[2]]):
    name = (dist.metadata['Name'] or '').lower().replace('_', '-') if dist.metadata else ''
    record = dist.read_text('RECORD')
    if name not in wanted or record is None:
        continue
    if wanted.pop(name) not in ('', dist.version):
        broken.add(name)
    for path, _, size in csv.reader(record.splitlines()):
        if not path.endswith('.pyc'):
            rows.append((name, path, size))
            claims[path] = claims.get(path, 0) + 1
for name, path, size in rows:
    try:
        found = os.stat(os.path.join(sys.argv[2], path)).st_size
    except OSError:
        found = None
    if found is None or (size and int(size) != found and claims[path] == 1):
        broken.add(name)
print(json.dumps(sorted(broken | set(wanted))))
"""


def venv_python(venv: Path) -> Path:
    """Return the path of the interpreter inside ``venv``."""
    return venv / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')


def site_packages(venv: Path) -> Path:
    """Return the folder of ``venv`` that packages are installed in."""
    if 'venv' in sysconfig.get_scheme_names():  # Python 3.11 and newer
        scheme = 'venv'
    else:
        scheme = 'nt' if os.name == 'nt' else 'posix_prefix'
    return Path(sysconfig.get_path('purelib', scheme, vars={'base': str(venv), 'platbase': str(venv)}))


def recipe_hash(stack: str, gpu: str | None, nvcc: str | None) -> str:
    """Return a digest of everything that decides what the environment holds."""
    facts = [
        stack,
        STACKS[stack],
        TORCH,
        BUILD_TOOLS,
        COMMON,
        sys.version,
        platform.machine(),
        gpu,
        nvcc if gpu else None,
        (ROOT / 'setup.py').read_text(encoding='utf-8'),
        str(ROOT),
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def read_stamp(venv: Path) -> dict:
    """Return what the last complete set-up wrote down, or an empty dict: none, or one that was cut short."""
    with contextlib.suppress(OSError, ValueError):
        stamp = json.loads((venv / STAMP).read_text(encoding='utf-8'))
        if isinstance(stamp, dict) and isinstance(stamp.get('packages'), dict) and stamp.get('stack') in STACKS:
            return stamp
    return {}


def write_stamp(venv: Path, stack: str, digest: str, note: str) -> None:
    """Write down, as the very last act, that the environment is complete and which packages it holds.

    Args:
        venv: Folder of the environment.
        stack: The dependency line, 'onedl' or 'openmmlab'.
        digest: What :func:`recipe_hash` says of it.
        note: The sentence about an unused GPU that every later run shows again, or ''.

    Raises:
        StepFailed: If pip cannot list the packages.
    """
    listed = output_of([venv_python(venv), '-m', 'pip', 'list', '--format', 'json', '--disable-pip-version-check'])
    packages = {p['name'].lower().replace('_', '-'): p['version'] for p in json.loads(listed or '[]')}
    if 'torch' not in packages:
        raise StepFailed(f'pip does not list the packages of {venv}: delete that folder and run the command again.')
    unfinished = venv / f'{STAMP}.tmp'
    text = json.dumps({'stack': stack, 'digest': digest, 'packages': packages, 'note': note}, indent=1)
    unfinished.write_text(text, encoding='utf-8')
    os.replace(unfinished, venv / STAMP)


def broken_packages(venv: Path, stamp: dict) -> list[str] | None:
    """Find what is wrong with an environment that was whole once.

    Packages that were added later do not matter, nor do other versions, except of the pinned ones.

    Returns:
        The names of the packages that are gone, miss files or are of another version than the pinned one; None when
        the interpreter itself does not run.
    """
    pins = {pin.split('==')[0] for pin in (TORCH, STACKS[stamp['stack']]['mmcv'], *STACKS[stamp['stack']]['others'])}
    wanted = {name: version if name in pins else '' for name, version in stamp['packages'].items()}
    command = [venv_python(venv), '-I', '-S', '-c', CHECK_FILES, json.dumps(wanted), site_packages(venv)]
    answer = output_of(command)
    if answer is None:
        return None
    broken = json.loads(answer)
    # Our own package is a link to the checkout, where `.mim` must be.
    if 'mmcentermask' not in broken and not (ROOT / 'mmcentermask' / '.mim' / 'tools').exists():
        broken.append('mmcentermask')
    return broken
