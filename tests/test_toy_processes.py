import json
import os
import subprocess
import sys

import pytest

from conftest import ROOT


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp('processes')
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']
    env = dict(os.environ, PYTHONPATH=f'{ROOT}:{ROOT / "tests"}', OMP_NUM_THREADS='1')
    done = subprocess.run(
        [*command, str(ROOT / 'tests/toy_processes.py'), str(folder)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f'{rank}.json').read_text()) for rank in range(2)]


@pytest.mark.slow
def test_every_process_resumes_with_its_own_random_numbers(found):
    for process in found:
        whole, begun, ended = process['whole'], process['begun'], process['ended']
        assert begun['order'] + ended['order'] == whole['order'] and len(ended['order']) == 2
        assert begun['losses'] + ended['losses'] == whole['losses'] and ended['weights'] == whole['weights']
    assert not set(found[0]['whole']['losses']) & set(found[1]['whole']['losses'])
    assert found[0]['whole']['weights'] == found[1]['whole']['weights']


@pytest.mark.slow
@pytest.mark.parametrize('run', ['skipped', 'accumulated'])
def test_all_processes_skip_where_one_has_an_invalid_loss(found, run):
    one, other = found[0][run], found[1][run]
    assert one['skipped'] == other['skipped'] == 1
    assert one['weights'] == other['weights'] != found[0]['whole']['weights']
    assert all(value == value for row in one['weights'][0] for value in row)


@pytest.mark.slow
def test_all_processes_stop_and_name_the_images_of_the_one(found):
    assert found[0]['stopped'] == found[1]['stopped']
    images = ', '.join(f'{index}.jpg' for index in found[1]['skipped']['order'][2])
    assert f'in iteration 3 loss_square is nan (images: {images})' in found[0]['stopped']


@pytest.mark.slow
def test_all_processes_stop_where_the_disk_of_the_main_one_is_full(found):
    assert found[0]['full'] == found[1]['full'] and 'iter_1.pth cannot be written (No space left' in found[0]['full']


@pytest.mark.slow
def test_each_process_validates_the_statistics_that_are_saved(found):
    one, other = found[0]['means'], found[1]['means']
    for run in ('synced', 'averaged'):
        assert one[run]['validated'] == other[run]['validated'] == one[run]['saved'] != [0, 0, 0]
    assert one['plain']['validated'] != other['plain']['validated']
