"""The package's metadata, its `.mim` folder, and the set-up's decisions. No test here needs the network."""

import json
import os
import re
import runpy
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from exported import write_model
from packaging.requirements import Requirement
from stand_in_server import stand_in_server
from tiny_run import find_something, run_tool

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'tools'))

import make_env  # noqa: E402

from mmcentermask import Segmenter  # noqa: E402
from mmcentermask.structures import Instances  # noqa: E402
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
    assert names == {'numpy', 'pycocotools'}
    extras = {
        extra: {Requirement(line).name for line in lines} for extra, lines in setup_arguments['extras_require'].items()
    }
    assert {'torch', 'onedl-mmcv', 'onedl-mmengine', 'onedl-mmdetection'} <= extras['onedl']
    assert {'torch', 'mmcv', 'mmengine', 'mmdet'} <= extras['openmmlab']
    assert 'onnxruntime' in extras['runtime'] and not extras['runtime'] & (extras['onedl'] | extras['openmmlab'])


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
    assert make_env.TORCH.split('==')[1] in ranges['torch']


def test_wheel_carries_configs_and_tools_for_mim(built):
    _, wheel, _ = built
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {f'mmcentermask/.mim/{p.relative_to(ROOT)}' for p in (ROOT / 'configs').rglob('*.py')}
    assert len(configs) > 10 and configs <= names
    assert {'mmcentermask/.mim/tools/make_shapes.py', 'mmcentermask/.mim/model-index.yml'} <= names
    assert f'mmcentermask-{__version__}.dist-info/.mim/model-index.yml' in names
    assert {'mmcentermask/models/vovnet.py', 'mmcentermask/py.typed'} <= names
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
    assert not [name for name in names if 'dist-info/.mim' in name]
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


RUNTIME = """
import json, sys
import mmcentermask
from mmcentermask import Segmenter
found = Segmenter('model.onnx', threads=1).predict('image.png', threshold=0)
assert not {'torch', 'mmcv', 'mmengine', 'mmdet'} & set(sys.modules)
found.save('found.json')
found.save('drawn.png')
try:
    mmcentermask.prepare_for_inference
except ImportError as error:
    assert 'needs torch' in str(error)
try:
    Segmenter('centermask_v39-ese_fpn_ms-3x_coco')
except mmcentermask.errors.InputError as error:
    print(error)
"""


@pytest.mark.slow
def test_an_exported_model_runs_where_there_is_no_torch(built, tmp_path):
    """In an environment made by `pip install mmcentermask[runtime]`, with the answers of the model in torch."""
    pytest.importorskip('onnx')
    environment = tmp_path / 'environment'
    subprocess.run([sys.executable, '-m', 'venv', environment], check=True)
    pip = [environment / 'bin/python', '-m', 'pip', 'install', '-q', f'{built[1]}[runtime]']
    env = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    installed = subprocess.run(pip, env=env, capture_output=True, text=True)
    if 'No matching distribution' in installed.stderr:
        pytest.skip(f'there is no package index here: {installed.stderr.splitlines()[-1]}')
    assert installed.returncode == 0, installed.stderr
    config, weights = find_something(tmp_path)
    write_model(tmp_path / 'model.onnx', config, weights)
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'image.png'), image)
    run = [environment / 'bin/python', '-W', 'error::UserWarning', '-c', RUNTIME]
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'centermask_v39-ese_fpn_ms-3x_coco needs torch and mmdet, which are not installed' in done.stdout
    assert cv2.imread(str(tmp_path / 'drawn.png')).shape == image.shape
    expected = Segmenter(config, weights, device='cpu').predict(image, threshold=0)
    found = Instances.from_dict(json.loads((tmp_path / 'found.json').read_text()), expected.classes)
    assert len(found) == len(expected) == 5 and found.labels.tolist() == expected.labels.tolist()
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)
    np.testing.assert_allclose(found.mask_scores, expected.mask_scores, atol=1e-4)
    # at random weights many values are close to the threshold
    assert (found.masks() == expected.masks()).mean() > 0.99


@pytest.fixture(scope='module')
def installed(built, tmp_path_factory):
    """Environments with the wheel and with an editable install, on top of this one."""
    checkout, wheel, _ = built
    pythons = {}
    for kind, what in (('wheel', [wheel]), ('editable', ['--no-build-isolation', '-e', checkout])):
        folder = tmp_path_factory.mktemp(kind)
        pythons[kind] = folder / 'bin' / 'python'
        subprocess.run([sys.executable, '-m', 'venv', '--without-pip', folder], check=True)
        site = sysconfig.get_path('purelib', vars=dict(base=str(folder)))
        Path(site, 'this.pth').write_text(sysconfig.get_path('purelib'))
        install = [pythons[kind], '-m', 'pip', 'install', '-q', '--no-deps', '--no-index', *what]
        subprocess.run(install, check=True, capture_output=True, env=dict(os.environ, PYTHONPATH=''))
    return pythons


# onedl-mim finds several files of one name in a checkout, where it wants the path
@pytest.mark.slow
@pytest.mark.parametrize('kind', ['wheel', 'editable'])
@pytest.mark.parametrize('which', ['mim', 'onedl-mim'])
def test_mim(which, kind, installed, built, tmp_path):
    beside = [Path(sys.prefix, which), Path(sys.prefix, 'mim')]  # where `make test-slow` puts them
    if not all(folder.is_dir() for folder in beside):
        pytest.skip(f'{which} is not installed')
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, beside)), no_proxy='127.0.0.1')

    def mim(*args, code=0):
        command = [installed[kind], '-W', 'ignore', '-m', 'mim', *args]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
        return done.stdout + done.stderr

    name = 'centermask-lite_v19-slim-dw-ese_fpn_shapes'
    config = f'{name}.py' if (which, kind) != ('onedl-mim', 'editable') else f'{built[0]}/configs/centermask/{name}.py'
    assert 'centermask_v39-ese_fpn_ms-3x_coco' in mim('search', 'mmcentermask', '--valid-config')
    if kind == 'editable':  # what is found there is the checkout's own
        assert 'train.py: error: unrecognized arguments: --nonsense' in mim(
            'train', 'mmcentermask', config, '--nonsense', code=1
        )
        return
    if which == 'onedl-mim':
        told = mim('train', 'mmcentermask', config, '--gpus', '0', '--cfg-options', 'data_root=nowhere', code=1)
        assert 'error: ' in told and 'nowhere' in told  # our tool's own sentence, after it read the config
        return
    assert run_tool('tools/make_shapes.py', tmp_path / 'data/shapes', '--train', 4, '--val', 2, '--size', 64) == 0
    short = ['--cfg-options', 'max_iters=1', 'train_dataloader.batch_size=2']
    mim('train', 'mmcentermask', config, '--gpus', '0', '--work-dir', 'run', *short)
    assert 'Testing finished' in mim('test', 'mmcentermask', config, '--checkpoint', 'run/iter_1.pth', '--gpus', '0')
    metafile = next(installed[kind].parents[1].rglob('mmcentermask/.mim/configs/centermask/metafile.yml'))
    with stand_in_server() as server:
        metafile.write_text(metafile.read_text().replace('https://dl.dropbox.com', server.address))
        server.files['/s/tczecsdxt10uai5/centermask2-V-39-eSE-FPN-ms-3x.pth'] = b'weights'
        mim('download', 'mmcentermask', '--config', 'centermask_v39-ese_fpn_ms-3x_coco', '--dest', 'got')
    assert (tmp_path / 'got/centermask2-V-39-eSE-FPN-ms-3x.pth').read_bytes() == b'weights'
    assert 'VoVNet' in (tmp_path / 'got/centermask_v39-ese_fpn_ms-3x_coco.py').read_text()


NEW, OLD = '9.0, 580.65.06\n8.6, 580.65.06', '8.0, 570.124.06'  # compute capability, driver


@pytest.mark.parametrize(
    ('gpus', 'nvcc', 'chosen', 'says'),
    [
        (None, None, ('', ''), None),
        (None, '13.0', ('', ''), None),  # a compiler is no GPU
        ('NVIDIA-SMI has failed', '13.0', ('', ''), None),
        (NEW, '13.1', ('13', '8.6 9.0'), None),
        (NEW, '12.4', ('12', '8.6 9.0'), None),
        (OLD, '12.4', ('12', '8.0'), None),
        (OLD, '13.0', ('', ''), 'does not fit its driver: install the toolkit of CUDA 12'),
        (NEW, '11.8', ('', ''), 'CUDA 11 of .* does not fit its driver: install the toolkit of CUDA 13'),
        (NEW, None, ('', ''), r'there is no CUDA compiler \(nvcc\): install the toolkit of CUDA 13'),
    ],
)
def test_choice_of_cuda(gpus, nvcc, chosen, says, monkeypatch, tmp_path):
    """The newest that the driver runs and the compiler builds for, else the CPU and a sentence why."""
    for path, text in {'nvidia-smi': gpus, 'bin/nvcc': nvcc and f'Cuda compilation tools, release {nvcc}, V1'}.items():
        program = tmp_path / path
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "{text}"\n' if text else '#!/bin/sh\nexit 9\n')
        program.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv('CUDA_HOME', str(tmp_path))
    *found, note = make_env.find_cuda()
    assert tuple(found) == chosen
    assert re.search(says, note) if says else note == ''


@pytest.fixture
def small_venv(tmp_path, monkeypatch):
    """What looks like a whole environment: an interpreter, packages with their lists of files."""
    site = tmp_path / 'venv/lib/python3/site-packages'
    for name in ('torch-2.13.0+cpu', 'small-1.0', 'opencv_python-4.12'):
        package, info = site / name.split('-')[0], site / f'{name}.dist-info'
        package.mkdir(parents=True)
        info.mkdir()
        (package / '__init__.py').write_text('x = 1\n')
        (info / 'RECORD').write_text(f'{package.name}/__init__.py,,\n{package.name}/x.pyc,,\n{info.name}/RECORD,,\n')
    for folder in ('venv/bin', 'mmcentermask/.mim'):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / 'venv/bin/python').touch()
    monkeypatch.setattr(make_env, 'ROOT', tmp_path)
    return tmp_path / 'venv', site, ['torch-2.13.0+cpu.dist-info', 'small-', 'opencv_python-']


def test_whole_environment_is_trusted(small_venv):
    venv, site, packages = small_venv
    assert make_env.is_whole(venv, packages)
    (site / 'small-1.0.dist-info').rename(site / 'small-9.9.dist-info')
    (site / 'small-9.9.dist-info/RECORD').write_text('small/__init__.py,,\n')
    (site / 'added').mkdir()
    assert make_env.is_whole(venv, packages), 'other versions matter for pinned packages only'


DAMAGES = {
    'a file is gone': lambda site: (site / 'opencv_python/__init__.py').unlink(),
    'a package is gone': lambda site: shutil.rmtree(site / 'small-1.0.dist-info'),
    'a pinned package has another version': lambda site: (site / 'torch-2.13.0+cpu.dist-info').rename(
        site / 'torch-2.14'
    ),
    'the environment is gone': lambda site: shutil.rmtree(site.parents[2]),
    'the interpreter is gone': lambda site: (site.parents[2] / 'bin/python').unlink(),
    'the package lost its tools': lambda site: (site.parents[3] / 'mmcentermask/.mim').rmdir(),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_damage_is_found(damage, small_venv):
    venv, site, packages = small_venv
    DAMAGES[damage](site)
    assert not make_env.is_whole(venv, packages)


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """Record the steps of a set-up that are run, and let one of them fail."""
    done, venv, state = [], tmp_path / 'venv', tmp_path / 'venv.lock'
    state.touch()

    def start(failing=None):
        done.clear()

        def run(what, *command, **env):
            done.append(what)
            if what == failing:
                sys.exit(what)
            (venv / 'lib/python3/site-packages/torch-2.13.0.dist-info').mkdir(parents=True, exist_ok=True)

        monkeypatch.setattr(make_env, 'run', run)
        make_env.make_env('onedl', venv, state)
        return done

    monkeypatch.setattr(make_env, 'output_of', lambda *command: '')
    monkeypatch.setattr(make_env, 'find_cuda', lambda: ('13', '9.0', ''))
    monkeypatch.setattr(make_env, 'install_mmcv', lambda *args: None)
    monkeypatch.setattr(make_env, 'is_whole', lambda *args: True)
    return start, done, venv


def test_an_interrupted_set_up_goes_on_and_a_whole_one_starts_at_once(steps, capsys):
    start, done, venv = steps
    with pytest.raises(SystemExit):
        start(failing='Installing mmdet and this package')
    (venv / 'kept').touch()
    assert start()[-1] == 'Trying the environment'
    assert (venv / 'kept').exists() and 'was interrupted' in capsys.readouterr().out
    assert start() == []


@pytest.mark.parametrize('change', ['versions', 'damage', 'gpu'])
def test_a_set_up_that_does_not_fit_is_made_anew(change, steps, monkeypatch):
    start, done, venv = steps
    start()
    (venv / 'old').touch()
    if change == 'versions':
        monkeypatch.setattr(make_env, 'TORCH', 'torch==2.13.1')
    elif change == 'damage':
        monkeypatch.setattr(make_env, 'is_whole', lambda *args: False)
    else:
        monkeypatch.setattr(make_env, 'find_cuda', lambda: ('13', '8.0', ''))
    assert start()[-1] == 'Trying the environment'
    assert not (venv / 'old').exists()


def test_failed_step_says_which_and_where_the_log_is(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(make_env, 'ROOT', tmp_path)
    program = 'print("[3/77] c++ -c nms.cpp"); print("the reason"); raise SystemExit(3)'
    with pytest.raises(SystemExit, match=r'(?s)the reason.*"Trying" failed \(log: .*setup\.log\)\. Do this\.'):
        make_env.run('Trying', sys.executable, '-c', program, hint='Do this.')
    assert 'the reason' in (tmp_path / 'build/setup.log').read_text()
    shown = capsys.readouterr().out
    assert '[3/77]\n' in shown and 'the reason' not in shown


def test_an_interrupt_ends_what_the_step_started(tmp_path):
    """Also in the background of a script, where SIGINT is ignored, and where only the set-up itself is told."""
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT / 'tools')!r})
import make_env
from pathlib import Path
make_env.ROOT = Path({str(tmp_path)!r})
make_env.make_env = lambda *args: make_env.run('Waiting', 'sh', '-c', 'sleep 600 > {tmp_path}/fifo & wait')
sys.argv[1:] = ['--venv', {str(tmp_path / 'venv')!r}]
sys.exit(make_env.main())
"""
    os.mkfifo(tmp_path / 'fifo')
    started = ['sh', '-c', 'trap "" INT; exec "$@"', 'sh', sys.executable, '-c', program]
    process = subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process, open(tmp_path / 'fifo') as fifo:  # waits until the step's grandchild opens it
        process.send_signal(signal.SIGINT)
        assert 'the next run goes on from here' in process.communicate()[1]
        assert select.select([fifo], [], [], 60)[0], 'the grandchild goes on'
    assert process.returncode == 130


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [(['--stack', 'nonsense'], "invalid choice: 'nonsense' (choose from"), (['--venv', '{}'], 'move it away')],
)
def test_make_env_refuses_in_one_sentence(tmp_path, arguments, says):
    folder = tmp_path / 'other'
    folder.mkdir()
    (folder / 'precious.txt').write_text('mine')
    arguments = [argument.format(folder) for argument in arguments]
    command = [sys.executable, ROOT / 'tools' / 'make_env.py', *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert says in done.stderr and 'Traceback' not in done.stderr
    assert (folder / 'precious.txt').read_text() == 'mine'


def test_a_missing_compiler_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(make_env, 'ROOT', tmp_path)
    monkeypatch.setattr(make_env, 'output_of', lambda *command: None)
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    with pytest.raises(SystemExit, match=r'C\+\+ compiler .* missing: install .*`apt install g\+\+ python3-dev`'):
        make_env.install_mmcv(tmp_path / 'bin/python', 'mmcv==2.1.0', '', '')


@pytest.mark.parametrize(
    ('origin', 'cuda', 'page'),
    [
        (
            'git@github.com:someone/centermask.git',
            '',
            'https://github.com/someone/centermask/releases/expanded_assets/',
        ),
        (
            'https://github.com/someone/centermask',
            '',
            'https://github.com/someone/centermask/releases/expanded_assets/',
        ),
        ('https://github.com/someone/centermask', '13', None),  # the wheels there are for CPUs
        ('https://example.org/someone/centermask', '', None),
        (None, '', None),
    ],
)
def test_wheels_of_mmcv_are_looked_for_in_the_releases_of_the_repository(origin, cuda, page, monkeypatch, tmp_path):
    asked = []

    def output_of(*command):
        asked.append([str(part) for part in command])
        return origin if command[0] == 'git' else cuda

    monkeypatch.setattr(make_env, 'ROOT', tmp_path)
    monkeypatch.setattr(make_env, 'output_of', output_of)
    monkeypatch.setattr(make_env, 'answers', lambda url: True)
    make_env.install_mmcv(tmp_path / 'bin/python', 'mmcv==2.1.0', cuda, '')
    (install,) = [command for command in asked if 'install' in command]
    links = [install[i + 1] for i, part in enumerate(install) if part == '--find-links']
    assert links[1:] == ([page + make_env.WHEELS] if page else [])


def test_a_page_that_is_not_there_is_not_asked_of_pip():
    with stand_in_server() as server:
        server.files['/wheels'] = b'page'
        assert make_env.answers(f'{server.address}/wheels')
        assert not make_env.answers(f'{server.address}/nowhere')
    assert not make_env.answers(f'{server.address}/wheels'), 'the server has ended'


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
