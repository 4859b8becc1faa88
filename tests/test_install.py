"""The package's metadata, its `.mim` folder, and the set-up's decisions. No test here needs the network."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))

import make_env  # noqa: E402

from mmcentermask.version import TESTED, __version__  # noqa: E402

# Runs setup.py up to its call of setup() and prints the arguments; neither torch nor the package can be imported.
READ_SETUP = """
import json, runpy, sys
import setuptools
sys.modules['torch'] = sys.modules['mmcentermask'] = None
setuptools.setup = lambda **kwargs: print(json.dumps({k: v for k, v in kwargs.items() if k != 'cmdclass'}))
runpy.run_path('setup.py')
"""


@pytest.fixture(scope='module')
def setup_arguments():
    done = subprocess.run([sys.executable, '-c', READ_SETUP], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """A wheel and an editable wheel, made from a copy of what is packaged, so that the checkout stays untouched."""
    folder = tmp_path_factory.mktemp('package')
    for name in (
        'setup.py',
        'pyproject.toml',
        'MANIFEST.in',
        'LICENSE',
        'model-index.yml',
        'mmcentermask',
        'configs',
        'tools',
    ):
        ignore = '--exclude=.mim', '--exclude=__pycache__'
        subprocess.run(f'tar c {" ".join(ignore)} {name} | tar x -C {folder}', cwd=ROOT, shell=True, check=True)
    build = (
        'import os, sys; from setuptools import build_meta; os.makedirs("out", exist_ok=True); '
        'print(getattr(build_meta, sys.argv[1])("out"))'
    )
    wheels = []
    for hook in ('build_wheel', 'build_editable'):
        done = subprocess.run([sys.executable, '-c', build, hook], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        wheels.append(folder / 'out' / done.stdout.splitlines()[-1])
        if hook == 'build_wheel':
            assert not (folder / 'mmcentermask' / '.mim').exists(), 'a wheel build left .mim in the checkout'
    return folder, *wheels


def test_setup_needs_no_torch_and_names_the_version(setup_arguments):
    assert setup_arguments['name'] == 'mmcentermask'
    assert setup_arguments['version'] == __version__
    assert setup_arguments['python_requires'] == '>=3.10'


def test_hard_requirements_leave_the_choice_of_the_line_open(setup_arguments):
    names = {Requirement(line).name for line in setup_arguments['install_requires']}
    assert names == {'torch', 'numpy', 'pycocotools'}
    extras = setup_arguments['extras_require']
    for extra, wanted in (
        ('onedl', {'onedl-mmcv', 'onedl-mmengine', 'onedl-mmdetection'}),
        ('openmmlab', {'mmcv', 'mmengine', 'mmdet'}),
    ):
        assert wanted <= {Requirement(line).name for line in extras[extra]}


@pytest.mark.parametrize('stack', make_env.STACKS)
def test_pinned_versions_lie_in_the_declared_and_the_tested_ranges(stack, setup_arguments):
    ranges = {Requirement(line).name: Requirement(line).specifier for line in setup_arguments['extras_require'][stack]}
    pins = make_env.STACKS[stack]
    assert len(pins) == 3
    end = 1 if stack == 'onedl' else 0  # the maintained line is the newest tested, OpenMMLab's the oldest
    for pin, module in zip(pins, ('mmcv', 'mmengine', 'mmdet'), strict=True):
        name, version = pin.split('==')
        assert version in ranges[name]
        assert version == TESTED[module][end]
    assert make_env.TORCH.split('==')[1] in next(
        Requirement(line).specifier for line in setup_arguments['install_requires'] if line.startswith('torch')
    )


def test_wheel_carries_configs_and_tools_for_mim(built):
    _, wheel, _ = built
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {f'mmcentermask/.mim/{p.relative_to(ROOT)}' for p in (ROOT / 'configs').rglob('*.py')}
    assert len(configs) > 10 and configs <= names
    assert {'mmcentermask/.mim/tools/make_shapes.py', 'mmcentermask/.mim/model-index.yml'} <= names
    assert 'mmcentermask/models/vovnet.py' in names
    assert not [name for name in names if re.match(r'(tests|configs|tools|demo)/', name) or name.endswith('.pyc')]


def test_editable_install_links_to_the_checkout(built):
    folder, _, editable = built
    mim = folder / 'mmcentermask' / '.mim'
    assert (mim / 'configs').resolve() == folder / 'configs'
    assert (mim / 'tools').resolve() == folder / 'tools'
    with zipfile.ZipFile(editable) as archive:
        names = archive.namelist()
        pth = [archive.read(name).decode() for name in names if name.endswith('.pth')]
        redirect = archive.read('mmcentermask/.mim/tools/make_shapes.py').decode()
        config = archive.read('mmcentermask/.mim/configs/centermask/centermask_v39-ese_fpn_ms-3x_coco.py').decode()
    assert [text.strip() for text in pth] == [str(folder)]
    assert 'mmcentermask/__init__.py' not in names, 'it would hide the checkout'
    assert {'mmcentermask/.mim/model-index.yml', 'mmcentermask/.mim/configs/centermask/metafile.yml'} <= set(names)
    assert repr(str(folder / 'tools' / 'make_shapes.py')) in redirect
    assert config == f"_base_ = '{folder}/configs/centermask/centermask_v39-ese_fpn_ms-3x_coco.py'\n"


def test_redirects_do_not_hide_the_package_and_run_the_tool(built, tmp_path):
    """As in an environment: site-packages with the redirects comes before the checkout on the path."""
    _, _, editable = built
    site = tmp_path / 'site'
    zipfile.ZipFile(editable).extractall(site)
    checkout = next(site.glob('*.pth')).read_text().strip()
    path = os.pathsep.join([str(site), checkout])
    find = 'import importlib.util as u; print(u.find_spec("mmcentermask").origin)'
    done = subprocess.run(
        [sys.executable, '-S', '-c', find],
        cwd=tmp_path,
        env={'PYTHONPATH': path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(Path(checkout, 'mmcentermask', '__init__.py'))
    tool = site / 'mmcentermask' / '.mim' / 'tools' / 'make_env.py'
    done = subprocess.run([sys.executable, tool, '--help'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and '--stack' in done.stdout


GPU = ('9.0', '13.0')


@pytest.mark.parametrize(
    ('gpu', 'nvcc', 'torch_cuda', 'stack', 'kind', 'says'),
    [
        (None, None, None, 'onedl', 'cpu', None),
        (None, '13.0', '13.0', 'onedl', 'cpu', None),  # a compiler is no GPU
        (GPU, '13.0', '13.0', 'onedl', 'build', None),
        (GPU, '13.1', '13.0', 'openmmlab', 'build', None),
        (GPU, None, '13.0', 'onedl', 'prebuilt', None),
        (GPU, '12.4', '13.0', 'onedl', 'prebuilt', None),  # torch refuses a compiler of another major version
        (GPU, None, '13.0', 'openmmlab', 'cpu', 'there is no nvcc: install the CUDA toolkit 13.0'),
        (GPU, '12.4', '13.0', 'openmmlab', 'cpu', 'nvcc 12.4 does not fit torch: install the CUDA toolkit 13.0'),
        (GPU, '13.0', None, 'onedl', 'cpu', 'a CPU build of torch'),
    ],
)
def test_choice_of_ops(gpu, nvcc, torch_cuda, stack, kind, says):
    chosen, note = make_env.choose_ops(gpu, nvcc, torch_cuda, stack)
    assert chosen == kind
    assert (says in note) if says else note == ''


@pytest.mark.parametrize(('gpu', 'index'), [(None, 'cpu'), (GPU, None), (('8.0', '12.8'), 'cu126')])
def test_choice_of_torch(gpu, index, monkeypatch):
    monkeypatch.setattr(sys, 'platform', 'linux')
    assert make_env.choose_index(gpu) == index


def test_the_gpu_and_its_driver_are_found(monkeypatch, tmp_path):
    program = tmp_path / 'nvidia-smi'
    program.write_text('#!/bin/sh\n[ $# -gt 0 ] && echo 9.0 || echo "| Driver Version: 570.1  CUDA Version: 12.8 |"\n')
    program.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    assert make_env.find_gpu() == ('9.0', '12.8')
    program.write_text('#!/bin/sh\necho "NVIDIA-SMI has failed"; exit 9\n')
    assert make_env.find_gpu() is None


@pytest.fixture
def small_venv(tmp_path, monkeypatch):
    """What looks like a whole environment: an interpreter, packages with their lists of files."""
    venv = tmp_path / 'venv'
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', venv], check=True)
    (site,) = venv.glob('lib/python*/site-packages')
    packages = dict(pin.split('==') for pin in (make_env.TORCH, *make_env.STACKS['onedl'], 'small==1.0'))
    for name, version in packages.items():
        info = site / f'{name}-{version}.dist-info'
        info.mkdir()
        (site / name).mkdir()
        (site / name / '__init__.py').write_text('x = 1\n')
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
        (info / 'RECORD').write_text(f'{name}/__init__.py,,6\n{name}/__pycache__/x.pyc,,9\n{info.name}/METADATA,,\n')
    (tmp_path / 'mmcentermask/.mim').mkdir(parents=True)
    monkeypatch.setattr(make_env, 'ROOT', tmp_path)
    return venv, site, packages


def test_whole_environment_is_trusted(small_venv):
    venv, site, packages = small_venv
    assert make_env.is_whole(venv, packages, 'onedl')
    metadata = site / 'small-1.0.dist-info' / 'METADATA'
    metadata.write_text(metadata.read_text().replace('1.0', '9.9'))
    assert make_env.is_whole(venv, packages, 'onedl'), 'other versions matter for pinned packages only'


def _cut(site):
    (site / 'small/__init__.py').write_text('x')


def _upgrade(site):
    metadata = next(site.glob('torch-*.dist-info/METADATA'))
    metadata.write_text(metadata.read_text().replace(make_env.TORCH.split('==')[1], '9.9'))


DAMAGES = {
    'a file is cut': _cut,
    'a file is gone': lambda site: (site / 'small/__init__.py').unlink(),
    'a package is gone': lambda site: shutil.rmtree(site / 'small-1.0.dist-info'),
    'a pinned package has another version': _upgrade,
    'the interpreter is gone': lambda site: next(site.parents[2].glob('bin/python')).unlink(),
    'the package lost its tools': lambda site: (site.parents[3] / 'mmcentermask/.mim').rmdir(),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_damage_is_found(damage, small_venv):
    venv, site, packages = small_venv
    DAMAGES[damage](site)
    assert not make_env.is_whole(venv, packages, 'onedl')


@pytest.mark.parametrize('text', [None, '', '{"recipe": "d", "pack', '[]'])
def test_a_cut_stamp_is_none(tmp_path, text):
    if text is not None:
        (tmp_path / make_env.STAMP).write_text(text)
    assert make_env.read_stamp(tmp_path) == {}


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """Record the steps of a set-up that are run, and let one of them fail."""
    done = []

    def start(failing=None):
        done.clear()

        def run(what, *command, **env):
            done.append(what)
            if what == failing:
                raise make_env.SetupError(what)
            if what.startswith('Making'):
                (tmp_path / 'venv').mkdir()
                (tmp_path / 'venv/pyvenv.cfg').touch()

        monkeypatch.setattr(make_env, 'run', run)
        make_env.make_env('onedl', tmp_path / 'venv')
        return done

    monkeypatch.setattr(make_env, 'output_of', lambda *command: '{"torch": ["2.13.0", true]}')
    monkeypatch.setattr(make_env, 'find_gpu', lambda: None)
    monkeypatch.setattr(make_env, 'reachable', lambda url: False)
    monkeypatch.setattr(make_env, 'install_mmcv', lambda *args: ('cpu', ''))
    monkeypatch.setattr(make_env, 'is_whole', lambda *args: True)
    return start, done


def test_an_interrupted_set_up_goes_on_and_a_whole_one_starts_at_once(steps):
    start, done = steps
    with pytest.raises(make_env.SetupError):
        start(failing='Installing mmengine, mmdet and this package')
    assert done[0] == 'Making the virtual environment'
    assert 'Making the virtual environment' not in start()
    assert start() == []


@pytest.mark.parametrize('change', ['versions', 'damage'])
def test_a_set_up_that_does_not_fit_is_made_anew(change, steps, monkeypatch):
    start, _ = steps
    start()
    if change == 'versions':
        monkeypatch.setattr(make_env, 'TORCH', 'torch==2.13.1')
    else:
        monkeypatch.setattr(make_env, 'is_whole', lambda *args: False)
    assert start()[0] == 'Making the virtual environment'


def test_failed_step_says_which_and_where_the_log_is(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(make_env, 'ROOT', tmp_path)
    command = [sys.executable, '-c', 'print("the reason"); raise SystemExit(3)']
    with pytest.raises(make_env.SetupError, match=r'"Trying things" failed \(log: .*trying-things\.log\)\. Do this\.'):
        make_env.run('Trying things', *command, hint='Do this.')
    assert 'the reason' in (tmp_path / 'build/logs/trying-things.log').read_text()
    assert 'the reason' in capfd.readouterr().err


def test_a_long_step_counts_the_compiled_files(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(make_env, 'ROOT', tmp_path)
    monkeypatch.setattr(make_env, 'HEARTBEAT', 0.05)
    make_env.run('Compiling', sys.executable, '-c', 'import time; print("[3/77] c++", flush=True); time.sleep(1)')
    assert ', 3/77 files' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'says'), [(['--stack', 'nonsense'], 'STACK=nonsense is unknown'), (['--venv', '{}'], 'not a virtual')]
)
def test_make_env_refuses_in_one_sentence(tmp_path, arguments, says):
    (tmp_path / 'precious.txt').write_text('mine')
    arguments = [argument.format(tmp_path) for argument in arguments]
    command = [sys.executable, ROOT / 'tools' / 'make_env.py', *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert says in done.stderr and 'Traceback' not in done.stderr
    assert (tmp_path / 'precious.txt').read_text() == 'mine'


def test_python_3_14_is_refused_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'version_info', (3, 14, 0))
    monkeypatch.setattr(sys, 'argv', ['make_env.py'])
    with pytest.raises(SystemExit, match='2'):
        make_env.main()
    assert 'needs Python 3.10 to 3.13' in capsys.readouterr().err


def test_version_file_imports_nothing():
    """setup.py runs it before anything is installed."""
    assert runpy.run_path(str(ROOT / 'mmcentermask' / 'version.py'))['__version__'] == __version__
    text = (ROOT / 'mmcentermask' / 'version.py').read_text()
    assert not re.search(r'^\s*(import|from) ', text, flags=re.M)
