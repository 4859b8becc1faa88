"""Ray's actors give the rows of one process, whatever happens to them, and Ray Train runs our training."""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch.distributed as torch_dist
from test_many_images import predict_to_folder, segmenter
from tiny_run import ROOT, load_tool, make_data, write_config

from mmcentermask import apis
from mmcentermask.errors import InputError, MissingFileError
from mmcentermask.runtime.many_images import write_rows
from mmcentermask.runtime.ray_rows import _room, predict_rows_on_ray

sys.path.append(str(Path(sys.prefix, 'others')))  # where `make test-slow` puts it


@pytest.fixture(scope='module')
def cluster():
    """The address of a Ray cluster of two CPUs, on the loopback interface."""
    os.environ['RAY_AUTH_MODE'] = 'disabled'  # else a token that lies in the user's folder is asked for, or not
    pytest.importorskip('ray.data')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{free.getsockname()[1]}'
    command = 'start --head --block --num-cpus 2 --include-dashboard=false --node-ip-address 127.0.0.1 --port'
    path = os.pathsep.join([str(ROOT), str(ROOT / 'tests'), *sys.path])
    env = dict(os.environ, PYTHONPATH=path, RAY_USAGE_STATS_ENABLED='0', CUDA_VISIBLE_DEVICES='')
    process = subprocess.Popen(
        [sys.executable, '-m', 'ray.scripts.scripts', *command.split(), address.split(':')[1]],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while process.poll() is None:
            try:
                socket.create_connection(('127.0.0.1', int(address.split(':')[1])), timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # asked to end, it waits for half a minute
        process.wait()


def make_mortal_segmenter(marker):
    """Make a segmenter whose process is killed once, before the image 010.png."""
    made = segmenter()
    load = made._model.load

    def load_or_die(source):
        if source.endswith('010.png') and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return load(source)

    made._model.load = load_or_die
    return made


@pytest.mark.slow
def test_parts_are_those_of_one_process_though_an_actor_is_killed(cluster, tmp_path):
    """As many actors as CPUs, which leaves none to any other work."""
    images = [str(tmp_path / f'{i:03}.png') for i in range(40)]
    for image in images[:-1]:
        cv2.imwrite(image, np.zeros((10, 12, 3), np.uint8))
    Path(images[-1]).write_bytes(b'\x89PNG')
    predict_to_folder(segmenter(), images, tmp_path / 'one', {}, batch_size=3, part_size=7)

    def on_ray(images):
        make = lambda: make_mortal_segmenter(tmp_path / 'killed')  # noqa: E731
        return predict_rows_on_ray(make, images, actors=2, batch_size=3, address=cluster)

    counts = write_rows(on_ray, images, tmp_path / 'many', {}, part_size=7)
    assert counts == dict(images=40, objects=39, failed=1, done_before=0) and (tmp_path / 'killed').exists()
    parts = sorted(path.name for path in (tmp_path / 'one').iterdir())
    assert len(parts) == 7 and parts == sorted(path.name for path in (tmp_path / 'many').iterdir())
    for part in parts:
        assert (tmp_path / 'one' / part).read_bytes() == (tmp_path / 'many' / part).read_bytes()


@pytest.mark.slow
def test_what_an_actor_cannot_do_is_told_in_one_sentence(cluster, tmp_path, monkeypatch, capsys):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((10, 12, 3), np.uint8))
    monkeypatch.syspath_prepend(ROOT / 'tools')
    tool = load_tool('tools/predict_ray.py')
    args = [str(tmp_path / 'a.png'), 'absent.onnx', '--out', str(tmp_path / 'out'), '--address', cluster]
    for more, told in [
        ([], 'error: there is no exported model absent.onnx: correct the path.\n'),
        (['--actors', '3'], '3 actors of 1 CPUs and 0 GPUs have no room, 2 have'),
        (['--gpus-per-actor', '1'], '1 actors of 1 CPUs and 1 GPUs have no room, 0 have'),
    ]:
        assert tool.main([*args, *more]) == 1
        assert told in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    'cpus, gpus, actors',
    [(1, 0, 12), (3, 0, 3), (5, 0, 1), (1, 1, 3), (1, 0.5, 6), (1, 0.3, 9), (1, 2, 1), (8, 1, 1), (9, 0, 0)],
)
def test_room_is_counted_by_machine(cpus, gpus, actors):
    nodes = [
        dict(Alive=True, Resources=dict(CPU=8.0, GPU=2.0)),
        dict(Alive=True, Resources=dict(CPU=4.0, GPU=1.0)),
        dict(Alive=False, Resources=dict(CPU=64.0)),
        dict(Alive=True, Resources={}),
    ]
    assert _room(nodes, cpus, gpus) == actors


@pytest.mark.parametrize('options', [dict(actors=0), dict(cpus=0), dict(gpus=-1), dict(gpus=1.5)])
def test_actors_that_cannot_be(options):
    with pytest.raises(InputError, match='cannot run: give 1 or more actors and CPUs'):
        list(predict_rows_on_ray(segmenter, ['a.png'], **options))


def test_without_ray(monkeypatch):
    assert list(predict_rows_on_ray(segmenter, [])) == []
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(InputError, match=r"needs the package ray, .*pip install 'mmcentermask\[ray\]'"):
        list(predict_rows_on_ray(segmenter, ['a.png']))


@pytest.mark.slow
def test_an_address_where_nobody_listens(cluster):
    with pytest.raises(InputError, match='cluster 127.0.0.1:1 does not answer .*correct --address'):
        list(predict_rows_on_ray(segmenter, ['a.png'], address='127.0.0.1:1'))


@pytest.fixture
def joined(tmp_path, monkeypatch):
    """A process group that was made before our code runs."""
    monkeypatch.setattr(apis.launch, 'get_device', lambda: 'cpu')
    for name in ('LOCAL_RANK', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
        monkeypatch.setenv(name, os.environ.get(name, '1'))
    torch_dist.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    yield
    torch_dist.destroy_process_group()
    monkeypatch.setattr(apis.launch, '_lent_group', False)


@pytest.mark.parametrize('code', [0, 1])
def test_a_process_group_that_exists_is_used_and_left(joined, tmp_path, code):
    cfg = apis.load_config(str(write_config(tmp_path / 'tiny.py', tmp_path / 'data')))

    def job(args):
        apis.start_processes(cfg, 'none')
        if code:
            raise MissingFileError('there is no such file.')

    assert apis.report_input_errors(job, argparse.Namespace()) == code
    assert torch_dist.is_initialized() and cfg.launcher == 'pytorch'
    assert cfg.model_wrapper_cfg == dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)


@pytest.mark.slow
def test_ray_train_trains(cluster, tmp_path):
    pytest.importorskip('ray.train.torch')
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    config, work_dir = write_config(tmp_path / 'tiny.py', make_data(tmp_path / 'data')), tmp_path / 'run'

    def train():
        from tiny_run import run_tool

        assert run_tool('tools/train.py', config, '--work-dir', work_dir) == 0

    ray.init(address=cluster, logging_level='error')
    try:
        TorchTrainer(
            train, scaling_config=ScalingConfig(num_workers=2), run_config=RunConfig(storage_path=str(tmp_path / 'ray'))
        ).fit()
    finally:
        ray.shutdown()
    assert (work_dir / 'iter_2.pth').is_file()
    (log,) = work_dir.glob('*/*.log')
    assert 'Device: cpu, 2 process(es)' in log.read_text()
