"""What `import mmcentermask` says when the libraries below it are missing or do not fit."""

import importlib
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
        dependencies.check_dependencies()
    message = str(caught.value)
    assert '\n' not in message
    assert '`' in message, f'no command to run in: {message}'
    return message


@pytest.mark.parametrize('versions', [NEWEST, OLDEST])
def test_both_tested_lines_pass_without_a_word(pretend, versions):
    pretend(versions)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        dependencies.check_dependencies()


def test_real_environment_passes():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        dependencies.check_dependencies()


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
        dependencies.check_dependencies()


def test_both_lines_at_once(pretend):
    pretend({**NEWEST, **OLDEST})
    assert 'onedl-mmcv and mmcv are both installed' in _refusal()


def test_openmmlab_line_needs_pkg_resources(pretend):
    pretend(OLDEST, missing_modules=['pkg_resources'])
    assert "pip install 'setuptools<81'" in _refusal()
    pretend(NEWEST, missing_modules=['pkg_resources'])
    dependencies.check_dependencies()


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


def test_unrelated_import_errors_keep_their_own_words(monkeypatch):
    def fail(name):
        raise ImportError('libGL.so.1: cannot open shared object file')

    monkeypatch.setattr(importlib, 'import_module', fail)
    with pytest.raises(ImportError, match=r'^libGL'):
        dependencies.check_compiled_ops()
