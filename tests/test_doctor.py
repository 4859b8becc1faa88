"""`python -m mmcentermask.doctor` names what is wrong with an environment and what helps, and starts in any."""

import os
import subprocess
import sys
from importlib import metadata

import pytest
from stand_in_server import stand_in_server
from tiny_run import ROOT

from mmcentermask import dependencies, doctor, model_index
from mmcentermask.doctor import Fault, Note


@pytest.fixture
def run(tmp_path):
    """Run Python where the files given hide installed packages."""

    def start(*args, **hidden):
        for name, source in hidden.items():
            (tmp_path / f'{name}.py').write_text(source)
        env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
        return subprocess.run([sys.executable, *args], cwd=tmp_path, env=env, capture_output=True, text=True)

    return start


def test_it_starts_where_a_library_does_not(run):
    """As torch does with another numpy: no ImportError."""
    done = run('-m', 'mmcentermask.doctor', torch='raise AttributeError("_ARRAY_API not found")')
    assert done.returncode == 1 and 'Traceback' not in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith('FAULT  torch ') for line in lines)
    assert any('pip install --force-reinstall --no-deps --no-cache-dir torch' in line for line in lines)
    assert any('torch.py hides the installed torch' in line for line in lines)
    assert lines[-1].endswith('fault(s) found.')


def test_what_is_not_the_doctor_hears_of_it(run):
    broken = dict(torch='raise OSError("libcudart.so.12: cannot open shared object file")')
    done = run('-c', 'import mmcentermask; mmcentermask.prepare_for_inference', **broken)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith('ImportError: A library that mmcentermask needs does not load')
    assert 'libcudart.so.12' in done.stderr and '`python -m mmcentermask.doctor`' in done.stderr
    # as a config's custom_imports, which asks for registration
    done = run('-c', 'import sys; sys.modules["mmengine"] = object(); import mmcentermask', **broken)
    assert done.returncode == 1 and 'ImportError: A library' in done.stderr.splitlines()[-1]


def test_this_environment_is_sound(capsys, monkeypatch):
    monkeypatch.setattr(model_index, 'find_starts', dict)  # whether there is a network is no matter of it
    assert doctor.examine() == 0
    told = capsys.readouterr().out
    assert told.endswith('\n\nNothing is wrong.\n')
    assert len(told.split('\n\n')[0].splitlines()) == len(doctor.CHECKS)


def test_an_environment_for_exported_models_is_sound_without_torch(monkeypatch, capsys):
    monkeypatch.setattr(doctor, 'is_for_exported_models', lambda: True)
    monkeypatch.setitem(sys.modules, 'torch', None)
    assert doctor.examine() == 0
    told = capsys.readouterr().out
    assert told.startswith('note   runtime ') and 'torch' not in told and told.endswith('Nothing is wrong.\n')


@pytest.mark.parametrize(
    ('name', 'error', 'words'),
    [
        ('torch', ModuleNotFoundError("No module named 'torch'", name='torch'), '`pip install torch`'),
        ('opencv', ModuleNotFoundError("No module named 'cv2'", name='cv2'), '`pip install opencv-python`'),
        (
            'opencv',
            ImportError('libGL.so.1: cannot open shared object file: No such file or directory'),
            'libGL.so.1, which this system lacks: `pip uninstall -y opencv-python opencv-python-headless && '
            'pip install opencv-python-headless`',
        ),
        ('opencv', ImportError('numpy.core.multiarray failed to import'), 'opencv: built for another numpy'),
        (
            'pycocotools',
            ValueError('numpy.dtype size changed, may indicate binary incompatibility'),
            '`pip install --force-reinstall --no-deps --no-cache-dir pycocotools`',
        ),
        ('numpy', RuntimeError('Numpy is not available'), "`pip install 'numpy<2'`"),
        ('torchvision', RuntimeError('operator torchvision::nms does not exist'), '`pip uninstall -y torchvision`'),
        ('mmcv ops', RuntimeError('CUDA error: no kernel image is available'), 'MMCV_WITH_OPS=1'),
        ('mmcentermask', ImportError('cannot import name RoIHead'), '`make env`'),
        ('line', ImportError("run `pip install 'setuptools<81'`."), "run `pip install 'setuptools<81'`."),
        ('torch', Note('2.13.0', 'in its own words'), 'in its own words'),
    ],
)
def test_an_error_becomes_a_hint(name, error, words):
    assert words in doctor.explain(name, error).hint


def test_missing_ops_have_one_hint(monkeypatch):
    """Not that of the module that is missing: `pip install mmcv._ext` would be some other package."""
    error = ImportError('The installed mmcv has no compiled ops: run `make env`.')
    error.__cause__ = ModuleNotFoundError("No module named 'mmcv._ext'", name='mmcv._ext')
    monkeypatch.setattr('mmcentermask._error', error)
    with pytest.raises(ImportError) as caught:
        doctor.check_package()
    assert doctor.explain('mmcentermask', caught.value).hint == str(error)
    assert 'pip install mmcv._ext' not in doctor.explain('mmcv ops', error.__cause__).hint


@pytest.fixture
def pretend(monkeypatch):
    """Make a set of distributions look installed."""

    def install(versions):
        def version(name):
            if name not in versions:
                raise metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(dependencies.metadata, 'version', version)

    return install


def test_modules_of_two_lines(pretend):
    pretend({'onedl-mmcv': '2.3.6', 'onedl-mmengine': '0.10.12', 'mmdet': '3.3.0'})
    with pytest.raises(Fault, match='two dependency lines: `pip uninstall -y onedl-mmcv onedl-mmengine mmdet`'):
        doctor.check_line()


def test_versions_out_of_range(pretend):
    pretend({'mmengine': '0.9.0', 'onedl-mmdetection': '3.10.0'})
    with pytest.raises(Fault, match=r"pip install 'mmengine>=0.10.7'"):
        doctor.check_module('mmengine')
    with pytest.raises(Note, match=r'newer than 3\.5\.1'):
        doctor.check_module('mmdet')


def test_ops_of_another_torch_give_wrong_results(monkeypatch):
    monkeypatch.setattr('mmcv.ops.nms', lambda boxes, scores, threshold: (boxes, scores.new_tensor([0, 1])))
    with pytest.raises(Fault, match=r'keeps \[0.0, 1.0\] and not \[0, 2\] on cpu'):
        doctor.check_ops()


@pytest.mark.parametrize(
    ('built_with', 'kind', 'words'), [('13.0', Fault, 'cannot run CUDA 13.0'), (None, Note, 'built without CUDA')]
)
def test_a_gpu_that_torch_does_not_use(built_with, kind, words, monkeypatch, tmp_path):
    program = tmp_path / 'nvidia-smi'
    program.write_text('#!/bin/sh\necho "GPU 0: a GPU"\n')
    program.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr('torch.version.cuda', built_with)
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    with pytest.raises(Fault, match=words) as caught:
        doctor.check_torch()
    assert type(caught.value) is kind


def test_checkpoints_that_run_code(monkeypatch):
    import torch

    def unsafe(path, **kwargs):
        return torch.load(path, weights_only=False)

    monkeypatch.setattr('mmengine.runner.CheckpointLoader.load_checkpoint', unsafe)
    with pytest.raises(Fault, match='can run code'):
        doctor.check_package()


def test_weights_that_cannot_be_had(monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    with stand_in_server() as server:
        server.files['/there.pth'] = b'x'
        starts = {f'{server.address}/there.pth': ['a'], f'{server.address}/gone.pth': ['b', 'c']}
        monkeypatch.setattr(model_index, 'find_starts', lambda: starts)
        with pytest.raises(Note, match=r'look at the network.*\n.*/gone.pth, for b, c: .*HTTP Error 404.*$') as told:
            doctor.check_weights()
        assert told.value.found == '1 of 2 cannot be had' and 'there.pth' not in str(told.value)
        server.files['/gone.pth'] = b'x'
        assert doctor.check_weights() == 'all 2 can be had'
