"""What `import mmcentermask` says when the libraries below it are missing or do not fit."""

import importlib
import subprocess
import sys
import warnings
from importlib import metadata

import pytest

from mmcentermask import dependencies
from mmcentermask.version import TESTED

NEWEST = {'onedl-mmcv': '2.3.6', 'onedl-mmengine': '0.10.12', 'onedl-mmdetection': '3.5.1'}
OLDEST = {'mmcv': '2.1.0', 'mmengine': '0.10.7', 'mmdet': '3.3.0'}


@pytest.fixture
def pretend(monkeypatch):
    """Make a set of distributions look installed, and modules importable or not."""

    def install(versions, missing_modules=()):
        def version(name):
            if name not in versions:
                raise metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(dependencies.metadata, 'version', version)
        monkeypatch.setattr(
            dependencies.importlib.util, 'find_spec', lambda name: None if name in missing_modules else object()
        )
        monkeypatch.setattr(dependencies, 'check_compiled_ops', lambda: None)

    return install


def _refusal():
    with pytest.raises(ImportError) as caught:
        dependencies.import_dependencies()
    message = str(caught.value)
    assert '\n' not in message
    assert '`' in message, f'no command to run in: {message}'
    return message


@pytest.mark.parametrize('versions', [NEWEST, OLDEST])
def test_both_tested_lines_pass_without_a_word(pretend, versions):
    pretend(versions)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        dependencies.import_dependencies()


@pytest.mark.parametrize(
    ('there', 'answer'),
    [({'onnxruntime'}, True), ({'openvino', 'torch'}, True), ({'onnxruntime', 'mmcv'}, False), ({'torch'}, False)],
)
def test_an_environment_for_exported_models(there, answer, monkeypatch):
    """There `import mmcentermask` is silent about what is not there."""
    monkeypatch.setattr(dependencies.importlib.util, 'find_spec', lambda name: object() if name in there else None)
    assert dependencies.is_for_exported_models() is answer


def test_real_environment_passes():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        dependencies.import_dependencies()


@pytest.mark.parametrize('module', ['torch', *TESTED])
def test_missing_library(pretend, module):
    owners = dependencies._DISTRIBUTIONS.get(module, ())
    pretend({name: version for name, version in NEWEST.items() if name not in owners}, missing_modules=[module])
    message = _refusal()
    assert message.startswith(f'mmcentermask needs {module}, which is not installed')
    assert 'make env' in message


@pytest.mark.parametrize(('name', 'version'), [('mmcv', '2.0.1'), ('mmengine', '0.9.1'), ('mmdet', '3.2.0')])
def test_too_old(pretend, name, version):
    pretend({**OLDEST, name: version})
    message = _refusal()
    assert version in message and f"pip install '{name}>={TESTED[name][0]}'" in message


def test_newer_than_tested_only_warns(pretend):
    pretend({**NEWEST, 'onedl-mmdetection': '3.10.0'})
    with pytest.warns(UserWarning, match='onedl-mmdetection 3.10.0 is newer than 3.5.1'):
        dependencies.import_dependencies()


def test_import_is_quiet_of_what_nothing_here_uses():
    """Of the OneDL data sets and faster_coco_eval; what else is said is heard."""
    program = 'import mmcentermask, warnings; warnings.warn("heard"); print("said")'
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, check=True)
    assert done.stdout == 'said\n'
    assert 'faster_coco_eval' not in done.stderr and 'UserWarning: heard' in done.stderr


def test_what_else_is_printed_at_import_stays(pretend, monkeypatch, capsys):
    pretend(NEWEST)
    monkeypatch.setattr(importlib, 'import_module', lambda name: print(f'{dependencies._ONEDL_NOISE}{name} speaks'))
    dependencies.import_dependencies()
    assert capsys.readouterr().out == 'torch speaks\nmmdet.datasets speaks\nmmdet.evaluation speaks\n'


def test_both_lines_at_once(pretend):
    pretend({**NEWEST, **OLDEST})
    assert 'onedl-mmcv and mmcv are both installed' in _refusal()


def test_openmmlab_line_needs_pkg_resources(pretend):
    pretend(OLDEST, missing_modules=['pkg_resources'])
    assert "pip install 'setuptools<81'" in _refusal()
    pretend(NEWEST, missing_modules=['pkg_resources'])
    dependencies.import_dependencies()


@pytest.mark.parametrize(
    ('error', 'says'),
    [
        (ModuleNotFoundError("No module named 'mmcv._ext'", name='mmcv._ext'), 'no compiled ops'),
        (ImportError('mmcv/_ext.cpython-311.so: undefined symbol: _ZN3c10'), 'built for another torch'),
    ],
)
def test_compiled_ops(monkeypatch, error, says):
    def fail(name):
        raise error

    monkeypatch.setattr(importlib, 'import_module', fail)
    with pytest.raises(ImportError, match=says):
        dependencies.check_compiled_ops()


@pytest.mark.parametrize(
    ('versions', 'begin', 'end'),
    [
        ({'onedl-mmcv': '2.3.6'}, 'pip install', '--no-binary onedl-mmcv onedl-mmcv==2.3.6'),
        ({'mmcv': '2.1.0'}, 'pip install', '--no-binary mmcv mmcv==2.1.0'),
        ({'mmcv-lite': '2.1.0'}, 'pip uninstall -y mmcv-lite && pip install', '--no-binary mmcv mmcv==2.1.0'),
    ],
)
def test_the_command_for_the_ops_takes_no_wheel_without_them(versions, begin, end, pretend):
    """Neither from pip's cache nor the one that is installed, and leaves torch and numpy alone."""
    pretend(versions)
    command = dependencies.ops_command()
    assert command.startswith(begin) and command.endswith(end)
    for option in ('--no-cache-dir', '--force-reinstall', '--no-build-isolation', '--no-deps', 'MMCV_WITH_OPS=1'):
        assert option in command


@pytest.mark.parametrize('error', [ImportError('libGL.so.1: cannot open'), OSError('bad'), AssertionError('MMCV==3')])
def test_other_errors_lead_to_the_doctor(pretend, monkeypatch, error):
    def fail(name):
        raise error

    pretend(NEWEST)
    monkeypatch.setattr(importlib, 'import_module', fail)
    message = _refusal()
    assert str(error) in message and 'mmcentermask.doctor' in message
