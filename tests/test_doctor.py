"""`python -m mmcentermask.doctor` names each fault that is put into an environment, and no fault stops it.

The environment is a virtual one of small stand-ins for the libraries, which fail as the real ones do.
"""

import os
import re
import subprocess
import sys
import venv

import pytest
from tiny_run import ROOT

from mmcentermask.doctor.examine import _NEEDS, examine
from mmcentermask.doctor.row import FAULT, NOTE, OK

ONEDL = {'onedl-mmcv': '2.3.6', 'onedl-mmengine': '0.10.12', 'onedl-mmdetection': '3.5.1'}
OPENMMLAB = {'mmcv': '2.1.0', 'mmengine': '0.10.7', 'mmdet': '3.3.0'}
COMMON = {'numpy': '2.2.6', 'torch': '2.13.0', 'opencv-python': '4.12.0.88', 'pycocotools': '2.0.11'}

# just enough of each library for what the doctor tries
MODULES = {
    'numpy/__init__.py': """
        __version__ = '2.2.6'
        uint8 = 'uint8'
        zeros = ones = lambda *args: args
        asfortranarray = lambda array: array
    """,
    'torch/__init__.py': """
        import pickle
        from . import distributed
        __version__ = '2.13.0+cpu'
        class version: cuda = None
        class cuda:
            is_available = staticmethod(lambda: False)
            get_device_name = staticmethod(lambda number: 'a GPU')
        tensor = ones = zeros = lambda *args, **kwargs: args
        from_numpy = lambda array: array
        def save(value, path):
            with open(path, 'wb') as file:
                pickle.dump(value, file)
    """,
    'torch/distributed.py': """
        is_available = is_gloo_available = lambda: True
        is_nccl_available = lambda: False
    """,
    'cv2.py': """
        __version__ = '4.12.0'
        resize = lambda *args: args
    """,
    'pycocotools/__init__.py': '',
    'pycocotools/mask.py': """
        encode = lambda mask: mask
        area = lambda mask: 4
    """,
    'mmcv/__init__.py': '',
    'mmcv/ops.py': """
        class Result(list):
            tolist = list.copy
        nms = lambda boxes, scores, threshold: (None, Result([0, 2]))
        roi_align = lambda *args: Result([[[[1.0]]]])
        modulated_deform_conv2d = lambda *args: Result([[[[2.0] * 4] * 4]])
        get_compiling_cuda_version = lambda: 'not available'
    """,
    'mmengine/__init__.py': '',
    'mmengine/logging.py': """
        class HistoryBuffer:
            def __init__(self, *args):
                pass
    """,
    'mmengine/runner.py': """
        import pickle
        class CheckpointLoader:
            @staticmethod
            def load_checkpoint(path, map_location, logger):
                with open(path, 'rb') as file:
                    content = file.read()
                if b'mkdir' in content:
                    raise ValueError('the checkpoint wants to run code')
                return pickle.loads(content)
    """,
    'mmengine/utils/__init__.py': '',
    'mmengine/utils/dl_utils.py': 'collect_env = dict',
    'mmdet/__init__.py': '',
    'panopticapi.py': '',
    # of this package: what is no matter of the environment
    'mmcentermask/datasets.py': '',
    'mmcentermask/engine.py': '',
    'mmcentermask/evaluation.py': '',
    'mmcentermask/apis/fast_inference.py': 'prepare_for_inference = None',
    'mmcentermask/models.py': '',
    'mmcentermask/visualization.py': '',
    'mmcentermask/checkpoints/__init__.py': '',
    'mmcentermask/checkpoints/safe_loading.py': 'make_loading_safe = lambda: None',
}


def text_of(source):
    """Without the indentation that the table gives it."""
    lines = source.strip('\n').split('\n')
    indent = len(lines[0]) - len(lines[0].lstrip())
    return '\n'.join(line[indent:] for line in lines)


class Environment:
    """A virtual environment of stand-ins."""

    def __init__(self, folder):
        venv.EnvBuilder(symlinks=os.name != 'nt').create(folder)
        self.python = folder / ('Scripts/python.exe' if os.name == 'nt' else 'bin/python')
        (self.site,) = folder.rglob('site-packages')
        for name, source in MODULES.items():
            self.write(name, source)
        for name in ('__init__.py', 'dependencies.py', 'version.py', 'doctor'):
            (self.site / 'mmcentermask' / name).symlink_to(ROOT / 'mmcentermask' / name)
        self.folder = folder

    def write(self, name, source):
        path = self.site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(source))

    def install(self, versions):
        for name, version in versions.items():
            info = self.site / f'{name.replace("-", "_")}-{version}.dist-info'
            info.mkdir()
            (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')

    def uninstall(self, name):
        (info,) = self.site.glob(f'{name.replace("-", "_")}-*.dist-info')
        (info / 'METADATA').unlink()
        info.rmdir()

    def run(self):
        env = {key: value for key, value in os.environ.items() if key not in ('PYTHONPATH', 'PYTHONHOME')}
        env |= dict(PATH=str(self.folder / 'bin'), PYTHONDONTWRITEBYTECODE='1')
        command = [str(self.python), '-m', 'mmcentermask.doctor']
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=300)


@pytest.fixture
def environment(tmp_path):
    made = Environment(tmp_path / 'env')
    made.install({**COMMON, **ONEDL})
    return made


def states(told):
    """Name -> state, of the table."""
    return {line[7:21].strip(): line[:6].strip() for line in told.split('\n\n')[0].splitlines()}


def test_nothing_is_wrong(environment):
    done = environment.run()
    assert (done.returncode, done.stderr) == (0, '')
    assert set(states(done.stdout).values()) == {OK} and len(states(done.stdout)) == 18
    assert done.stdout.endswith('\n\nNothing is wrong.\n')


def raises(name, error):
    return lambda env: env.write(name, f'raise {error}')


def appends(name, line):
    return lambda env: env.write(name, text_of(MODULES[name]) + '\n' + line)


def both_lines(env):
    env.install(OPENMMLAB)


def openmmlab(env):
    for name in ONEDL:
        env.uninstall(name)
    env.install(OPENMMLAB)


def mixed(env):
    env.uninstall('onedl-mmdetection')
    env.install({'mmdet': '3.3.0'})


def removed(*names):
    """Without these distributions and modules."""

    def remove(env):
        for name in names:
            if list(env.site.glob(f'{name.replace("-", "_")}-*.dist-info')):
                env.uninstall(name)
            if (env.site / name).exists():
                (env.site / name).rename(env.site / f'{name}.gone')

    return remove


def several(*changes):
    def change(env):
        for one in changes:
            one(env)

    return change


def other(name, version):
    """Another version of it."""

    def change(env):
        env.uninstall(name)
        env.install({name: version})

    return change


def gpu(env):
    """An NVIDIA driver that names a GPU."""
    program = env.folder / 'bin/nvidia-smi'
    program.write_text('#!/bin/sh\necho "GPU 0: a GPU"\n')
    program.chmod(0o755)


CUDA = 'version.cuda = "13.0"'
AVAILABLE = 'cuda.is_available = lambda: True'
NO_EXT = "ModuleNotFoundError(\"No module named 'mmcv._ext'\", name='mmcv._ext')"
MAKE_ENV = '`make env`'
FAULTS = {
    # what is put in: the row that names it, words of the sentence, among them the command
    'torch is missing': (removed('torch'), 'torch', ['not installed', 'pip install torch']),
    'torch is too old': (
        several(removed('torch'), lambda env: env.write('torch/__init__.py', "__version__ = '2.3.1'")),
        'torch',
        ["pip install 'torch>=2.4'"],
    ),
    'torch does not load': (
        raises('torch/__init__.py', "OSError('libcudart.so.12: cannot open shared object file')"),
        'torch',
        ['libcudart.so.12', 'pip install --force-reinstall'],
    ),
    'mmcv is missing': (removed('onedl-mmcv', 'mmcv'), 'mmcv', ['mmcv, which is not installed', MAKE_ENV]),
    'mmdet is missing': (removed('onedl-mmdetection', 'mmdet'), 'mmdet', ['mmdet, which is not installed', MAKE_ENV]),
    'mmengine is too old': (other('onedl-mmengine', '0.9.0'), 'mmengine', ["pip install 'onedl-mmengine>=0.10.7'"]),
    'both lines': (both_lines, 'mmcv', ['both installed', 'pip uninstall -y onedl-mmcv mmcv']),
    'parts of two lines': (mixed, 'line', ['two dependency lines', 'pip uninstall -y', MAKE_ENV]),
    'mmcv-lite': (raises('mmcv/ops.py', NO_EXT), 'mmcv ops', ['no compiled ops', 'MMCV_WITH_OPS=1']),
    'ops of another torch': (
        raises('mmcv/ops.py', "ImportError('mmcv/_ext.so: undefined symbol: _ZN3c10')"),
        'mmcv ops',
        ['built for another torch', 'MMCV_WITH_OPS=1'],
    ),
    'ops give wrong results': (
        appends('mmcv/ops.py', 'roi_align = lambda *args: Result([[[[0.5]]]])'),
        'mmcv ops',
        ['RoIAlign', 'wrong results', MAKE_ENV],
    ),
    'DCN fails': (
        appends('mmcv/ops.py', 'def modulated_deform_conv2d(*args): raise RuntimeError("no kernel image")'),
        'mmcv ops',
        ['no kernel image', MAKE_ENV],
    ),
    'ops end the process': (
        appends('mmcv/ops.py', 'import os, signal\ndef nms(*args): os.kill(os.getpid(), signal.SIGSEGV)'),
        'mmcv ops',
        ['SIGSEGV', MAKE_ENV],
    ),
    'ops for the CPU only': (
        several(appends('torch/__init__.py', f'{CUDA}\n{AVAILABLE}'), gpu),
        'mmcv ops',
        ['CPU only', 'FORCE_CUDA=1 pip install'],
    ),
    'driver too old': (
        several(appends('torch/__init__.py', CUDA), gpu),
        'accelerator',
        ['CUDA 13.0', 'update the driver'],
    ),
    'numpy is missing': (removed('numpy'), 'numpy', ['not installed', 'pip install numpy']),
    'torch was built for numpy 1': (
        appends('torch/__init__.py', 'def from_numpy(array): raise RuntimeError("Numpy is not available")'),
        'torch',
        ['built for numpy 1', '2.2.6', "pip install 'numpy<2'"],
    ),
    'pycocotools was built for numpy 1': (
        raises('pycocotools/mask.py', "ValueError('numpy.dtype size changed, may indicate binary incompatibility')"),
        'pycocotools',
        ['another numpy than 2.2.6', 'pip install --force-reinstall --no-deps --no-cache-dir pycocotools'],
    ),
    'pycocotools is missing': (removed('pycocotools'), 'pycocotools', ['not installed', 'pip install pycocotools']),
    'opencv is missing': (removed('cv2.py'), 'opencv', ['not installed', 'pip install opencv-python']),
    'opencv was built for numpy 1': (
        raises('cv2.py', "ImportError('numpy.core.multiarray failed to import')"),
        'opencv',
        ['another numpy than 2.2.6', 'pip install --force-reinstall --no-deps --no-cache-dir opencv-python'],
    ),
    'no libGL': (
        raises('cv2.py', "ImportError('libGL.so.1: cannot open shared object file: No such file or directory')"),
        'opencv',
        ['libGL.so.1', 'pip install opencv-python-headless'],
    ),
    'torchvision of another torch': (
        raises('torchvision.py', "RuntimeError('operator torchvision::nms does not exist')"),
        'torchvision',
        ['operator torchvision::nms does not exist', 'pip uninstall -y torchvision'],
    ),
    'no pkg_resources': (openmmlab, 'pkg_resources', ["pip install 'setuptools<81'"]),
    'no distutils': (
        lambda env: env.write(
            'mmengine/utils/dl_utils.py',
            'def collect_env(): raise ModuleNotFoundError("No module named \'distutils\'", name="distutils")',
        ),
        'runner',
        ['distutils', "pip install 'setuptools<81'"],
    ),
    'own checkpoints are not read': (
        appends(
            'mmengine/runner.py',
            'def fail(*args, **kwargs): raise pickle.UnpicklingError("Weights only load failed")\n'
            'CheckpointLoader.load_checkpoint = fail',
        ),
        'checkpoints',
        ['Weights only load failed', 'pip install --force-reinstall'],
    ),
    'checkpoints run code': (
        appends(
            'mmengine/runner.py',
            'CheckpointLoader.load_checkpoint = lambda path, **kwargs: pickle.load(open(path, "rb"))',
        ),
        'checkpoints',
        ['can run code', 'pip install --force-reinstall'],
    ),
    'this package is broken': (
        raises('mmcentermask/models.py', "ImportError('cannot import name RoIHead')"),
        'mmcentermask',
        ['cannot import name RoIHead', MAKE_ENV],
    ),
    'metadata is broken': (
        lambda env: (env.site / 'onedl_mmcv-2.3.6.dist-info/METADATA').write_text('Name: onedl-mmcv\nVersion: ?\n'),
        'mmcv',
        ['could not be looked at', MAKE_ENV],
    ),
}


@pytest.mark.parametrize('case', FAULTS)
def test_a_fault_is_named_with_its_mend(case, environment):
    change, name, words = FAULTS[case]
    change(environment)
    done = environment.run()
    assert 'Traceback' not in done.stderr + done.stdout, done.stderr
    assert done.returncode == 1, done.stdout
    found = states(done.stdout)
    assert found[name] == FAULT, done.stdout
    faults = [line for line in done.stdout.split('To mend:\n')[1].splitlines() if re.match(r'\d+\. ', line)]
    assert len(faults) == sum(state == FAULT for state in found.values())
    assert any(all(word in line for word in words) for line in faults), done.stdout
    assert all('`' in line for line in faults), 'no command'
    if case not in ('both lines', 'mmcv is missing', 'mmdet is missing'):
        assert len(faults) == 1, done.stdout


NOTES = {
    'newer than tested': (other('onedl-mmdetection', '3.10.0'), 'mmdet', 'newer than 3.5.1'),
    'no panopticapi': (removed('panopticapi.py'), 'panopticapi', 'pip install git+'),
    'a GPU and no CUDA': (gpu, 'accelerator', MAKE_ENV),
    'no gloo': (
        lambda env: env.write('torch/distributed.py', 'is_available = lambda: False'),
        'processes',
        'pip install --force-reinstall --no-deps torch',
    ),
}


@pytest.mark.parametrize('case', NOTES)
def test_what_is_no_fault_is_a_note(case, environment):
    change, name, word = NOTES[case]
    change(environment)
    done = environment.run()
    assert done.returncode == 0 and done.stderr == '', done.stdout
    found = states(done.stdout)
    assert [row for row, state in found.items() if state != OK] == [name] and found[name] == NOTE
    assert word in done.stdout.split('To know:\n')[1]


def test_openmmlabs_mmengine_on_a_new_torch(environment):
    """Alone it reads none of its own checkpoints with torch >= 2.6; the doctor knows, and that it is mended here."""
    openmmlab(environment)
    environment.write('pkg_resources.py', '')
    done = environment.run()
    assert done.returncode == 0, done.stdout
    assert 'mmengine 0.10.7 alone reads none with this torch' in done.stdout


def test_an_empty_environment(tmp_path):
    made = Environment(tmp_path / 'env')
    removed('torch', 'numpy', 'cv2.py', 'pycocotools', 'mmcv', 'mmengine', 'mmdet')(made)
    done = made.run()
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    found = states(done.stdout)
    assert [name for name, state in found.items() if state == FAULT] == ['mmcv', 'mmengine', 'mmdet', 'numpy', 'torch']
    assert {found[name] for name in ('opencv', 'mmcv ops', 'mmcentermask', 'checkpoints')} == {'-'}


def test_others_still_hear_of_faults(environment):
    """Only the doctor's own start leaves the checks of the import out."""
    environment.write('mmcv/ops.py', f'raise {NO_EXT}')
    for start in (['-c', 'import mmcentermask.doctor'], ['-c', 'import mmcentermask', 'mmcentermask.doctor']):
        done = subprocess.run([str(environment.python), *start], capture_output=True, text=True, cwd=environment.folder)
        assert done.returncode == 1 and 'no compiled ops' in done.stderr


def test_every_need_is_a_row(environment):
    names = set(states(environment.run().stdout))
    assert {name for row in _NEEDS.items() for name in [row[0], *row[1]]} <= names


@pytest.mark.slow
def test_this_environment_is_sound():
    rows = examine()
    assert [row for row in rows if row.state == FAULT] == []
    assert {row.name: row.state for row in rows}['mmcv ops'] == OK


@pytest.mark.slow
def test_a_torchvision_that_does_not_fit_in_this_environment(tmp_path):
    """What mmengine does with it, and what the doctor says of it."""
    (tmp_path / 'torchvision.py').write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get('PYTHONPATH', '')])
    options = dict(env={**os.environ, 'PYTHONPATH': path}, cwd=tmp_path, capture_output=True, text=True)
    program = 'from mmengine.utils.dl_utils import collect_env; collect_env()'
    done = subprocess.run([sys.executable, '-c', program], **options)
    assert done.returncode == 1 and 'torchvision::nms' in done.stderr
    done = subprocess.run([sys.executable, '-m', 'mmcentermask.doctor'], **options)
    assert done.returncode == 1 and 'pip uninstall -y torchvision' in done.stdout
    assert states(done.stdout)['mmcv ops'] == OK
