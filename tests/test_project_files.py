"""The files of GitHub, of docker and of citation name the versions that the package has."""

import re
from pathlib import Path

import pytest
import yaml
from test_install import make_env

from mmcentermask.version import __version__

ROOT = Path(__file__).parents[1]
PYTHONS = ['3.10', '3.11', '3.12', '3.13']


def read(path):
    return (ROOT / path).read_text()


def jobs(name):
    return yaml.safe_load(read(f'.github/workflows/{name}.yml'))['jobs']


@pytest.mark.parametrize(('workflow', 'job'), [('ci', 'tests'), ('release', 'mmcv')])
def test_workflows_take_both_lines_and_every_python(workflow, job):
    matrix = jobs(workflow)[job]['strategy']['matrix']
    assert matrix == dict(stack=list(make_env.STACKS), python=PYTHONS)


def test_workflows_run_targets_that_the_makefile_has():
    targets = set(re.findall(r'^([a-z-]+):', read('Makefile'), re.M))
    used = {
        match
        for name in ('ci', 'release')
        for job in jobs(name).values()
        for step in job['steps']
        for match in re.findall(r'^make ([a-z-]+)', step.get('run', ''))
    }
    assert {'env', 'test', 'test-slow', 'lint', 'docs'} <= used <= targets


def test_the_citation_names_the_version_and_the_paper():
    citation = yaml.safe_load(read('CITATION.cff'))
    assert (citation['version'], citation['license']) == (__version__, 'Apache-2.0')
    assert citation['preferred-citation']['title'] in read('README.md')


def test_the_cuda_image_has_the_versions_of_the_set_up():
    steps = read('docker/cuda.Dockerfile')
    mmcv = make_env.STACKS['onedl'][0]
    assert f'{make_env.TORCH} --index-url https://download.pytorch.org/whl/{make_env.TORCH_INDEXES["12"]}' in steps
    assert f'--no-binary {mmcv.split("==")[0]} {mmcv}' in steps
    for name in ('setuptools', 'numpy'):  # what mmcv is compiled beside, with the bound of the set-up
        (pin,) = [line for line in make_env.COMMON if line.startswith(name)]
        assert f"'{name}{pin[pin.index('<') :]}'" in steps


def test_containers_make_the_environment_by_the_set_up():
    assert 'make env' in read('docker/Dockerfile')
    assert '"postCreateCommand": "make env"' in read('.devcontainer/devcontainer.json')
