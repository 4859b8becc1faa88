"""Many processes over gloo, without find_unused_parameters."""

import json
import os
import socket
import subprocess
import sys

import ddp_worker
import pytest
import torch
import torch.multiprocessing as mp
from tiny_run import make_data, write_config
from tolerances import GRADIENTS, LOSSES

from conftest import ROOT, build, small_config


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def run(job, shares, out):
    mp.spawn(job, args=(shares, free_port(), str(out)), nprocs=len(shares))
    return [torch.load(out / f'{rank}.pt') for rank in range(len(shares))]


@pytest.mark.slow
def test_the_box_head_learns_as_one_process_on_the_union(tmp_path):
    found = run(ddp_worker.one_step, [[0, 1], [2, 3]], tmp_path)
    alone = ddp_worker.model()
    losses = alone(**ddp_worker.images([0, 1, 2, 3]), mode='loss')
    sum(losses.values()).backward()
    for name in ('loss_cls', 'loss_bbox', 'loss_centerness'):
        mean = sum(process['losses'][name] for process in found) / len(found)
        torch.testing.assert_close(mean, losses[name].detach(), rtol=LOSSES, atol=0)
    heads = {f'bbox_head.{name}': p.grad for name, p in alone.bbox_head.named_parameters()}
    assert len(heads) > 20 and sum(grad.abs().sum() > 0 for grad in heads.values()) > 20
    for name, grad in heads.items():
        scale = grad.abs().max().clamp(min=1e-3)
        for process in found:
            assert ((process['grads'][name] - grad).abs().max() / scale) < GRADIENTS, name


@pytest.mark.slow
def test_processes_stay_alike_though_one_sees_empty_images_only(tmp_path):
    shares = [[0, 1], [2], [3, 1, 0]]  # the second sees an image without objects
    found = run(ddp_worker.several_steps, shares, tmp_path)
    start = ddp_worker.model().state_dict()
    learnt = 0
    for name, value in found[0].items():
        learnt += not torch.equal(value, start[name])
        assert torch.isfinite(value).all(), name
        for other in found[1:]:
            assert torch.equal(value, other[name]), name
    assert learnt > 100


def start(tool, *args, **env):
    command = ['bash', str(ROOT / 'tools' / tool), *map(str, args)]
    env = {**os.environ, 'PYTHON': sys.executable, 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1', **env}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    output = process.communicate()[0]
    assert process.returncode == 0, output[-3000:]
    return output


@pytest.mark.slow
def test_two_nodes_of_two_processes(tmp_path):
    config, port = write_config(tmp_path / 'tiny.py', make_data(tmp_path / 'data')), str(free_port())
    args = ['dist_train.sh', config, 2, '--work-dir', tmp_path / 'run', '--auto-scale-lr']
    nodes = [start(*args, NNODES='2', NODE_RANK=str(i), PORT=port) for i in range(2)]
    outputs = [finish(node) for node in nodes]
    assert (tmp_path / 'run/iter_2.pth').is_file()
    (scalars,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    steps = [line for line in map(json.loads, scalars.read_text().splitlines()) if 'loss' in line]
    assert [line['step'] for line in steps] == [1, 2]
    assert steps[0]['lr'] == pytest.approx(0.01 * 8 / 16)  # 4 processes of 2 images instead of 16 images
    assert 'Device: cpu, 4 process(es), 1 thread(s) each' in outputs[0]


TELLER = """
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from mmengine.structures import InstanceData


@MODELS.register_module()
class TruthTeller(BaseModel):
    '''Predicts the truth of some images, and boxes that are off in others.'''

    def __init__(self):
        super().__init__(dict(type='DetDataPreprocessor'))
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, data_samples, mode):
        for data_sample in data_samples:
            gt = data_sample.gt_instances
            off = 0.15 * (data_sample.img_id % 4)
            size = (gt.bboxes[:, 2:] - gt.bboxes[:, :2]).repeat(1, 2)
            masks = torch.from_numpy(gt.masks.to_ndarray()).bool()
            masks[:, :: 1 + data_sample.img_id % 3] = False if data_sample.img_id % 3 else masks[:, ::1]
            scores = torch.linspace(1, 0.1, len(gt)) - 0.01 * data_sample.img_id
            data_sample.pred_instances = InstanceData(
                bboxes=gt.bboxes + off * size, labels=gt.labels, scores=scores, masks=masks
            )
        return data_samples
"""


@pytest.mark.slow
def test_evaluation_over_processes_gives_the_same_ap(tmp_path):
    from mmcentermask.datasets import make_shapes

    make_shapes(tmp_path / 'data', 1, 7, 96, seed=3, report=lambda line: None)  # 7 images: uneven
    (tmp_path / 'teller.py').write_text(TELLER)
    config = write_config(tmp_path / 'tiny.py', tmp_path / 'data')
    pipeline = "[dict(type='LoadImageFromFile'), dict(type='LoadInstanceAnnotations'), dict(type='PackDetInputs')]"
    config.write_text(
        config.read_text().replace('model = dict(', "model = dict(_delete_=True, type='TruthTeller')\nunused = dict(")
        + "custom_imports = dict(imports=['mmcentermask', 'teller'], allow_failed_imports=False)\n"
        + f"test_dataloader['batch_size'] = 2\ntest_dataloader['dataset']['pipeline'] = {pipeline}\n"
    )
    checkpoint = tmp_path / 'teller.pth'
    torch.save(dict(state_dict=dict(weight=torch.zeros(1)), meta={}), checkpoint)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    found = []
    for number in (1, 2):
        work_dir = tmp_path / f'run{number}'
        finish(
            start(
                'dist_test.sh',
                config,
                checkpoint,
                number,
                '--work-dir',
                work_dir,
                PYTHONPATH=path,
                PORT=str(free_port()),
            )
        )
        (log,) = work_dir.glob('*/*.json')
        values = json.loads(log.read_text().splitlines()[-1])
        found.append({name: value for name, value in values.items() if 'mAP' in name})
    assert found[0] == found[1] and 0 < found[0]['coco/segm_mAP'] < 1 and 0 < found[0]['coco/bbox_mAP'] < 1


def test_synchronized_norms_build():
    cfg = small_config()
    cfg.backbone.norm_cfg = dict(type='SyncBN', requires_grad=True)
    model = build(cfg)
    norms = [m for m in model.modules() if isinstance(m, torch.nn.SyncBatchNorm)]
    assert len(norms) > 10 and all(norm.weight.requires_grad for norm in norms)
    with torch.no_grad():
        assert len(model.eval().extract_feat(torch.zeros(1, 3, 64, 64))) == 5
