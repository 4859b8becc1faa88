"""The benchmark: stages, interleaved timing, tables by hand; its command on a tiny model. No fact depends on time."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from tiny_run import make_data, run_tool, write_config
from torch import nn

from conftest import CONFIGS, build, small_config
from mmcentermask.analysis import (
    BenchmarkResult,
    InferenceRun,
    StageTimer,
    benchmark_table,
    build_untrained,
    draw_image,
    hardware,
    leave_best_boxes,
    make_training_batch,
    peak_memory,
    time_interleaved,
    versions,
    write_benchmark,
)
from mmcentermask.analysis import test_pipeline as image_pipeline

register_all_modules()


class Part(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        if x is None:
            raise ValueError('nothing to do')
        return x + 1


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.data_preprocessor, self.backbone, self.neck = Part(), Part(), Part()

    def forward(self, x):
        return self.neck(self.backbone(self.data_preprocessor(x)))


def test_stages_of_any_detector_and_nothing_left_behind(monkeypatch):
    model = Detector()
    timer = StageTimer(model)
    ticks = iter(range(100))
    monkeypatch.setattr(timer, 'now', lambda: float(next(ticks)))
    with timer.running():
        assert model(1) == 4
        model.backbone(1)
    # each lasts a tick, and the backbone ran twice
    assert timer.seconds == {'pre-processing': 1.0, 'backbone': 2.0, 'neck': 1.0}
    with pytest.raises(ValueError, match='nothing to do'), timer.running():
        model(None)
    assert all('forward' not in part.__dict__ for part in model.children())
    with timer.running():
        model(1)
    assert timer.seconds['backbone'] == 1.0  # begun anew


@pytest.mark.parametrize('warmups, order', [(0, 'ab' * 3), (1, 'aabb' * 3)])
def test_interleaved_timing_counts_from_the_second_round(capsys, warmups, order):
    ran = []
    runs = [lambda name=name: ran.append(name) or {'backbone': float(len(ran))} for name in 'ab']
    results = time_interleaved(runs, 2, warmups)
    assert ''.join(ran) == order and len(capsys.readouterr().out.splitlines()) == 3
    step = 2 * (warmups + 1)
    last = {name: 1 + order.rindex(name) for name in 'ab'}
    assert results == [[{'backbone': float(last[name] - step)}, {'backbone': float(last[name])}] for name in 'ab']


def rows():
    first = BenchmarkResult(
        'first', [{'backbone': 0.1, 'neck': t, 'drawing': 9.0} for t in (0.1, 0.3, 0.2)], parameters=10, boxes=3
    )
    second = BenchmarkResult('second', [{'backbone': 0.05, 'mask branch': 0.1}], 3 * 2**20, 2000, 1_500_000_000, 50)
    return [first, second]


def test_the_table_by_hand():
    head, _, first, second = [
        [c.strip() for c in line.split('|')[1:-1]] for line in benchmark_table(rows()).splitlines()
    ]
    assert head[:3] == ['model', 'ms', 'to the first']
    assert head[3:7] == ['backbone', 'neck', 'mask branch', 'drawing']  # in the order of the work, others left out
    # without the drawing: 0.2, 0.4 and 0.3 seconds
    assert first == ['first', '300.0 (200.0 to 400.0)', '1.000', '100.0', '200.0', '', '9000.0', '', '3', '10', '']
    assert second == ['second', '150.0 (150.0 to 150.0)', '0.500', '50.0', '', '100.0', '', '3', '50', '2,000', '1.50']


def test_written_whole(tmp_path):
    write_benchmark(tmp_path / 'new', rows(), 'What it includes.')
    assert sorted(p.name for p in (tmp_path / 'new').iterdir()) == ['results.csv', 'table.md', 'times.png']
    assert 'What it includes.' in (tmp_path / 'new/table.md').read_text()
    read = list(csv.DictReader((tmp_path / 'new/results.csv').open()))
    assert [line['neck (s)'] for line in read] == ['0.100000', '0.300000', '0.200000', '']
    assert [line['multiply-adds'] for line in read] == ['', '', '', '1500000000']
    assert (tmp_path / 'new/times.png').read_bytes().startswith(b'\x89PNG')


def test_peak_memory():
    def run():
        np.ones(64 * 2**20, np.uint8)

    found = peak_memory(run, 'cpu')
    if found is None:
        pytest.skip('this system does not tell')
    assert 60 * 2**20 < found < 90 * 2**20
    assert peak_memory(lambda: None, 'cpu') < 8 * 2**20


def test_where_the_peak_is_unknown_the_function_runs_all_the_same(monkeypatch):
    def forbidden(*args):
        raise PermissionError

    monkeypatch.setattr('mmcentermask.analysis.machine.Path.write_text', forbidden)
    ran = []
    assert peak_memory(lambda: ran.append(1), 'cpu') is None and ran == [1]


def test_untrained_models_find_as_many_boxes_as_they_may():
    cfg = small_config()
    cfg.backbone.norm_cfg.requires_grad, cfg.backbone.norm_eval = False, True
    model = build_untrained(Config(dict(model=cfg)))
    assert not model.training
    model.backbone.train()(torch.zeros(1, 3, 32, 32))  # which untrained frozen norms refuse
    model.eval()
    image = draw_image(64, 96)
    assert image.shape == (64, 96, 3) and image.dtype == np.uint8 and (image == draw_image(64, 96)).all()
    data = dict(inputs=[torch.from_numpy(image).permute(2, 0, 1)], data_samples=[meta(64, 96)])
    model.bbox_head.test_cfg.max_per_img = 7
    assert leave_best_boxes(model, data) == 7
    assert model.bbox_head.test_cfg.score_thr > 0.0
    with torch.no_grad():
        found = model.test_step(data)[0].pred_instances
    assert len(found) == 7 and (found.bboxes[:, 2:] - found.bboxes[:, :2]).max() > 16


def meta(height, width):
    shape = (height, width)
    return DetDataSample(metainfo=dict(img_id=0, img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0)))


def test_nothing_is_downloaded():
    cfg = small_config()
    cfg.backbone.init_cfg = dict(type='Pretrained', checkpoint='torchvision://nothing')
    cfg.neck.init_cfg = dict(type='Pretrained', checkpoint='https://nothing')
    build_untrained(Config(dict(model=cfg)))
    assert cfg.backbone.init_cfg is not None  # the config stays


def test_stages_of_a_centermask_add_up_to_its_time():
    cfg = Config.fromfile(CONFIGS / 'centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py')
    for step in cfg.test_dataloader.dataset.pipeline:
        if step.type == 'Resize':
            step.scale = (96, 96)
    prepare = image_pipeline(cfg, draw_image(48, 64))
    data = prepare()
    assert data['inputs'][0].shape == (3, 72, 96) and data['data_samples'][0].ori_shape == (48, 64)
    model = build(small_config()).eval()
    drawn = []
    run = InferenceRun(model, prepare, drawn.append)
    names = ['pre-processing', 'backbone', 'neck', 'box head', 'decoding and NMS', 'mask branch', 'pasting']
    seconds = run()
    assert set(seconds) == {*names, 'other', 'encoding', 'drawing'} and min(seconds.values()) >= 0
    assert len(drawn) == 1 and drawn[0].pred_instances.masks.shape[1:] == (48, 64)
    three = InferenceRun(model, image_pipeline(cfg, draw_image(48, 64), batch=3), drawn.append)
    assert set(three()) == set(seconds) and len(drawn) == 1 + 3
    assert all(torch.equal(sample.pred_instances.bboxes, drawn[0].pred_instances.bboxes) for sample in drawn)
    assert all('forward' not in part.__dict__ for part in model.modules())
    batch = make_training_batch(prepare, 2, 3, 3)
    again = make_training_batch(prepare, 2, 3, 3)
    for sample, same in zip(batch['data_samples'], again['data_samples'], strict=True):
        gt = sample.gt_instances
        assert torch.equal(gt.bboxes, same.gt_instances.bboxes) and len(gt.masks) == 3
        assert gt.bboxes.min() >= 0 and gt.bboxes[:, 2].max() <= 96 and gt.bboxes[:, 3].max() <= 72
        corners = [np.reshape(polygon, (-1, 2)) for (polygon,) in gt.masks.masks]
        boxes = [[*c.min(axis=0), *c.max(axis=0)] for c in corners]
        assert (np.abs(np.array(boxes) - gt.bboxes.numpy()) < 1e-3).all()


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('benchmark')
    return write_config(folder / 'tiny.py', make_data(folder / 'data'))


@pytest.mark.parametrize('variant', ['fp32', pytest.param('bf16', marks=pytest.mark.slow)])
def test_the_command_times_variants(variant, tmp_path, config, capsys):
    args = [config, '--variants', 'plain', variant, '--size', '48', '64', '--repeats', '1', '--out', tmp_path / 'out']
    assert run_tool('tools/analysis_tools/benchmark.py', *args) == 0
    page = (tmp_path / 'out/table.md').read_text()
    assert page.splitlines()[0] in capsys.readouterr().out
    assert 'Weights are random' in page and '48 x 64 pixels' in page and versions() in page and hardware('cpu') in page
    lines = list(csv.DictReader((tmp_path / 'out/results.csv').open()))
    assert [line['model'] for line in lines] == ['tiny, plain', f'tiny, {variant}']
    assert lines[0]['multiply-adds'] == lines[1]['multiply-adds'] != '' and int(lines[0]['boxes']) > 0
    assert all(float(line['mask branch (s)']) > 0 for line in lines)


def test_the_command_times_training(tmp_path, config):
    args = [config, '--train', '--size', '48', '64', '--repeats', '1', '--objects', '2', '--out', tmp_path / 'out']
    assert run_tool('tools/analysis_tools/benchmark.py', *args) == 0
    (line,) = csv.DictReader((tmp_path / 'out/results.csv').open())
    assert line['model'] == 'tiny' and float(line['step (s)']) > 0
    assert 'A training step on 2 images with 2 objects' in (tmp_path / 'out/table.md').read_text()


@pytest.mark.parametrize(
    'wrong, told',
    [
        (['--repeats', '0'], '--repeats is 0: give 1 or more'),
        (['--size', '8', '64'], 'give 32 pixels or more'),
        (['--checkpoints', 'a.pth', 'b.pth'], '--checkpoints names 2 for 1 configs'),
        (['--checkpoints', 'nothing.pth'], 'nothing.pth'),
        (['--train', '--variants', 'fp32'], 'prepared ones cannot be trained'),
        (['--image', 'nothing.jpg'], 'cannot read the image nothing.jpg'),
        (['mmdet::nothing/nothing.py'], 'there is no config mmdet::nothing/nothing.py'),
        (['nothing.py'], 'there is no config nothing.py'),
        (['--device', 'foo'], '--device is foo: give cpu or cuda'),
    ],
)
def test_bad_options(tmp_path, config, capsys, wrong, told):
    assert run_tool('tools/analysis_tools/benchmark.py', config, *wrong, '--out', tmp_path / 'out') == 1
    assert told in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_two_configs_of_one_name(tmp_path, config, capsys):
    assert run_tool('tools/analysis_tools/benchmark.py', config, config, '--out', tmp_path / 'out') == 1
    assert 'two configs are named tiny' in capsys.readouterr().err


def test_the_machine(monkeypatch):
    assert 'core' in hardware('cpu')
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda device: f'GPU of {device}')
    assert hardware('cuda:0').startswith('GPU of cuda:0; ')
    assert f'torch {torch.__version__}' in versions() and versions().startswith('Python 3.')


def test_a_detector_without_a_score_threshold_is_left_alone():
    found = SimpleNamespace(pred_instances=[1, 2])
    model = SimpleNamespace(test_step=lambda data: [found])
    assert leave_best_boxes(model, {}) == 2
