"""The package's metadata, its `.mim` folder, and the set-up's decisions. No test here needs the network."""

import json
import os
import re
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))

from environment import health, stacks  # noqa: E402
from environment.gpu_plan import plan_ops  # noqa: E402
from environment.steps import StepFailed, run_step  # noqa: E402

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


@pytest.mark.parametrize('stack', stacks.STACKS)
def test_pinned_versions_lie_in_the_declared_and_the_tested_ranges(stack, setup_arguments):
    ranges = {Requirement(line).name: Requirement(line).specifier for line in setup_arguments['extras_require'][stack]}
    pins = [stacks.STACKS[stack]['mmcv'], *stacks.STACKS[stack]['others']]
    assert len(pins) == 3
    end = 1 if stack == 'onedl' else 0  # the maintained line is the newest tested, OpenMMLab's the oldest
    for pin, module in zip(pins, ('mmcv', 'mmengine', 'mmdet'), strict=True):
        name, version = pin.split('==')
        assert version in ranges[name]
        assert version == TESTED[module][end]
    assert stacks.TORCH.split('==')[1] in next(
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


@pytest.mark.parametrize(
    ('gpu', 'nvcc', 'torch_cuda', 'stack', 'kind', 'says'),
    [
        (None, None, None, 'onedl', 'cpu', None),
        (None, '13.0', None, 'onedl', 'cpu', None),  # a compiler is no GPU
        (None, '13.0', '13.0', 'onedl', 'cpu', None),
        ('9.0', '13.0', '13.0', 'onedl', 'build', None),
        ('9.0', '13.1', '13.0', 'openmmlab', 'build', None),
        ('9.0', None, '13.0', 'onedl', 'prebuilt', None),
        ('9.0', '12.4', '13.0', 'onedl', 'prebuilt', None),  # torch refuses a compiler of another major version
        ('9.0', None, '13.0', 'openmmlab', 'cpu', 'there is no nvcc: install the CUDA toolkit 13.0'),
        ('9.0', '12.4', '13.0', 'openmmlab', 'cpu', 'nvcc 12.4 does not fit a torch built with CUDA 13.0'),
        ('9.0', '13.0', None, 'onedl', 'cpu', 'is a CPU build'),
    ],
)
def test_gpu_plan(gpu, nvcc, torch_cuda, stack, kind, says):
    plan = plan_ops(gpu, nvcc, torch_cuda, stack)
    assert plan.kind == kind
    assert (says in plan.note) if says else plan.note == ''
    if kind == 'build':
        assert plan.arch == gpu
    if kind in ('build', 'prebuilt'):
        assert plan.cuda == torch_cuda


@pytest.fixture
def small_venv(tmp_path):
    """A folder that looks like a whole environment: an interpreter, two packages with their lists of files, a stamp."""
    venv = tmp_path / 'venv'
    (venv / 'bin').mkdir(parents=True)
    (venv / 'bin' / 'python').symlink_to(sys.executable)
    site = health.site_packages(venv)
    for name, version in (('torch', '2.13.0'), ('small', '1.0')):
        info = site / f'{name}-{version}.dist-info'
        info.mkdir(parents=True)
        (site / name).mkdir()
        (site / name / '__init__.py').write_text('x = 1\n')
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
        (info / 'RECORD').write_text(f'{name}/__init__.py,,6\n{name}/__pycache__/x.pyc,,9\n{info.name}/METADATA,,\n')
    stamp = {'stack': 'onedl', 'digest': 'd', 'packages': {'torch': '2.13.0', 'small': '1.0'}, 'note': ''}
    (venv / health.STAMP).write_text(json.dumps(stamp))
    return venv, site


def _broken(venv):
    """What is broken, less our own package, whose `.mim` depends on the checkout that runs this test."""
    found = health.broken_packages(venv, health.read_stamp(venv))
    return found if found is None else [name for name in found if name != 'mmcentermask']


def test_whole_environment_is_trusted(small_venv):
    assert _broken(small_venv[0]) == []


def test_missing_and_cut_files_are_found(small_venv):
    venv, site = small_venv
    (site / 'small' / '__init__.py').write_text('x')
    assert _broken(venv) == ['small']
    (site / 'small' / '__init__.py').unlink()
    (site / 'torch' / '__init__.py').unlink()
    assert _broken(venv) == ['small', 'torch']


def test_deleted_package_and_metadata_are_found(small_venv):
    venv, site = small_venv
    (site / 'small-1.0.dist-info' / 'METADATA').unlink()
    (site / 'small-1.0.dist-info' / 'RECORD').unlink()
    (site / 'small-1.0.dist-info').rmdir()
    assert _broken(venv) == ['small']


def test_other_versions_matter_for_pinned_packages_only(small_venv):
    venv, site = small_venv
    for name, version in (('torch', '2.13.0'), ('small', '1.0')):
        metadata = site / f'{name}-{version}.dist-info' / 'METADATA'
        metadata.write_text(metadata.read_text().replace(version, '9.9'))
    assert _broken(venv) == ['torch']


def test_missing_interpreter_is_found(small_venv):
    venv, _ = small_venv
    (venv / 'bin' / 'python').unlink()
    (venv / 'bin' / 'python').symlink_to('/nowhere/python')
    assert _broken(venv) is None


@pytest.mark.parametrize('text', [None, '', '{"digest": "d", "pack', '[]', '{"packages": {}, "stack": "unknown"}'])
def test_half_made_environment_has_no_stamp(small_venv, text):
    stamp = small_venv[0] / health.STAMP
    stamp.unlink() if text is None else stamp.write_text(text)
    assert health.read_stamp(small_venv[0]) == {}


def test_recipe_changes_with_the_line_and_the_gpu():
    digests = {
        health.recipe_hash('onedl', None, None),
        health.recipe_hash('openmmlab', None, None),
        health.recipe_hash('onedl', '9.0', None),
        health.recipe_hash('onedl', '9.0', '13.0'),
    }
    assert len(digests) == 4
    assert health.recipe_hash('onedl', None, '13.0') == health.recipe_hash('onedl', None, None)


def test_failed_step_says_which_and_where_the_log_is(tmp_path, capfd):
    command = [sys.executable, '-c', 'print("the reason"); raise SystemExit(3)']
    with pytest.raises(StepFailed, match=r'The step "Trying things" failed \(log: .*trying-things\.log\)\. Do this\.'):
        run_step('Trying things', '1 s', command, tmp_path, 'Do this.')
    assert 'the reason' in (tmp_path / 'trying-things.log').read_text()
    assert 'the reason' in capfd.readouterr().err


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


def test_version_file_imports_nothing():
    """setup.py runs it before anything is installed."""
    assert runpy.run_path(str(ROOT / 'mmcentermask' / 'version.py'))['__version__'] == __version__
    text = (ROOT / 'mmcentermask' / 'version.py').read_text()
    assert not re.search(r'^\s*(import|from) ', text, flags=re.M)
