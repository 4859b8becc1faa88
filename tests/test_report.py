"""The report of a run: the log is read rightly, the pictures are drawn, and bad input is told in one sentence."""

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures.mask import PolygonMasks
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData
from pycocotools import mask as mask_api

from mmcentermask.apis import InputError, write_files
from mmcentermask.datasets import CLASSES, make_shapes
from mmcentermask.visualization import draw_curves, read_run_log
from mmcentermask.visualization.predictions import _enlarged, _grid, _pair

ROOT = Path(__file__).parents[1]
AP_KEYS = ('', '_50', '_75', '_s', '_m', '_l')


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('report_tool', ROOT / 'demo' / 'report.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def train_line(step, **more):
    names = ('loss_cls', 'loss_bbox', 'loss_centerness', 'loss_mask', 'loss_mask_iou')
    losses = {name: (n + 1) / step for n, name in enumerate(names)}
    return dict(lr=0.01, time=0.5, loss=sum(losses.values()), **losses, iter=step, step=step, **more)


def val_line(step, ap):
    """AP values that all differ, so that a mix-up shows; nothing large to score."""
    values = {f'coco/{what}_mAP{key}': ap + 0.1 * k + n / 100 for n, what in enumerate(('bbox', 'segm'))
              for k, key in enumerate(AP_KEYS)}  # fmt: skip
    values['coco/bbox_mAP_l'] = values['coco/segm_mAP_l'] = -1.0
    return dict(**values, data_time=0.1, time=0.2, step=step)


def write_log(work_dir, lines, run='20260102_030405'):
    folder = work_dir / run / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))


def test_log_by_iterations(tmp_path):
    write_log(tmp_path, [train_line(20), train_line(40), val_line(50, 0.1), train_line(60), val_line(70, 0.2)])
    log = read_run_log(tmp_path)
    assert [line['iteration'] for line in log.train] == [20, 40, 60]
    assert [line['iteration'] for line in log.val] == [50, 70]
    last = log.val[-1]
    assert last['bbox', 'AP'] == pytest.approx(0.2) and last['segm', 'AP'] == pytest.approx(0.21)
    assert last['segm', 'AP50'] == pytest.approx(0.31) and last['segm', 'AP75'] == pytest.approx(0.41)
    assert last['bbox', 'APs'] == pytest.approx(0.5) and last['bbox', 'APm'] == pytest.approx(0.6)
    assert last['bbox', 'APl'] == -1
    assert log.seconds > 0


def test_log_by_epochs_is_put_on_iterations(tmp_path):
    lines = [train_line(50, epoch=1), train_line(100, epoch=1), val_line(1, 0.1), train_line(200, epoch=2)]
    write_log(tmp_path, lines + [val_line(2, 0.3)])
    assert [line['iteration'] for line in read_run_log(tmp_path).val] == [100, 200]


def test_epochs_in_a_run_by_iterations(tmp_path):
    # what LoggerHook writes by default
    write_log(tmp_path, [train_line(50), train_line(100), val_line(0, 0.1), train_line(200), val_line(1, 0.3)])
    assert [line['iteration'] for line in read_run_log(tmp_path).val] == [100, 200]


def test_resumed_run_goes_on(tmp_path):
    write_log(tmp_path, [train_line(20), train_line(40), val_line(40, 0.1), train_line(60)], '20260101_000000')
    write_log(tmp_path, [train_line(60), train_line(80), val_line(80, 0.4)], '20260102_000000')
    log = read_run_log(tmp_path)
    assert [line['iteration'] for line in log.train] == [20, 40, 60, 80]
    assert [line['segm', 'AP'] for line in log.val] == pytest.approx([0.11, 0.41])


def test_run_begun_anew_takes_the_place(tmp_path):
    write_log(tmp_path, [train_line(20), val_line(20, 0.1), train_line(40)], '20260101_000000')
    write_log(tmp_path, [train_line(20)], '20260102_000000')
    write_log(tmp_path, [val_line(0, 0.9)], '20260103_000000')  # an evaluation alone is no run
    log = read_run_log(tmp_path)
    assert [line['iteration'] for line in log.train] == [20] and log.val == []


def test_line_cut_off_is_left_out(tmp_path):
    write_log(tmp_path, [train_line(20), train_line(40)])
    file = next(tmp_path.glob('*/vis_data/scalars.json'))
    file.write_text(file.read_text()[:-30])
    assert [line['iteration'] for line in read_run_log(tmp_path).train] == [20]


@pytest.mark.parametrize('evaluated', [True, False])
def test_curves(tmp_path, evaluated):
    write_log(tmp_path, [train_line(20), train_line(40)] + [val_line(40, 0.2)] * evaluated)
    image = cv2.imdecode(np.frombuffer(draw_curves(read_run_log(tmp_path)), np.uint8), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    assert width > 2 * height > 600
    right = image[:, width // 2 :].astype(int)
    red = (right[..., 2] - right[..., 1] > 80).sum()  # the mask curves
    assert (red > 20) == evaluated


def test_grid_keeps_every_pixel():
    rng = np.random.default_rng(0)
    pairs = [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((40, 90), (60, 70), (50, 90))]
    grid = cv2.imdecode(np.frombuffer(_grid(pairs, 2), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    for pair in pairs:
        height, width = pair.shape[:2]
        corners = np.argwhere((grid == pair[0, 0]).all(axis=2))
        assert any(np.array_equal(grid[y : y + height, x : x + width], pair) for y, x in corners)


@pytest.mark.parametrize('form', ['tensor', 'array', 'polygons', 'run lengths'])
def test_enlarged(form):
    dense = np.zeros((1, 6, 8), np.uint8)
    dense[0, 2:4, 1:7] = 1
    masks = {
        'tensor': torch.from_numpy(dense).bool(),
        'array': dense,
        'polygons': PolygonMasks([[np.array([1.0, 2, 7, 2, 7, 4, 1, 4])]], 6, 8),
        'run lengths': [mask_api.encode(np.asfortranarray(dense[0]))],
    }[form]
    found = InstanceData(bboxes=torch.tensor([[-3, 2, 7, 9]]), labels=torch.tensor([1]), masks=masks)
    large = _enlarged(found, 3)
    assert large.bboxes.tolist() == [[0, 6, 21, 18]]  # inside of the image of 24 x 18
    np.testing.assert_array_equal(large.masks, np.kron(dense, np.ones((3, 3), np.uint8)))


def test_the_truth_stands_on_the_left_and_the_prediction_on_the_right():
    visualizer = DetLocalVisualizer(name='test_report', alpha=1.0)
    visualizer.dataset_meta = dict(classes=('thing',), palette=[(255, 0, 0)])
    mask = np.zeros((1, 40, 30), np.uint8)
    mask[0, 10:30, 5:25] = 1
    something = InstanceData(bboxes=torch.tensor([[5.0, 10, 25, 30]]), labels=torch.tensor([0]), masks=mask)
    something.scores = torch.tensor([0.9])
    nothing = something[:0]
    image = np.full((40, 30, 3), 90, np.uint8)
    for truth, found, drawn in ((something, nothing, 0), (nothing, something, 1)):
        pair = _pair(visualizer, image, truth, found, 2)
        sides = pair[:, :60], pair[:, -60:]
        assert sides[0].shape == sides[1].shape == (80, 60, 3)
        assert (sides[1 - drawn] == 90).all()
        assert (sides[drawn][50, 20:40] != 90).any(axis=-1).all()
        assert (sides[drawn][70:, :] == 90).all()


def test_ap_table(tool, tmp_path):
    write_log(tmp_path, [train_line(20), val_line(20, 0.1)])
    rows = tool.ap_table(read_run_log(tmp_path).val[-1]).splitlines()
    assert rows[0] == '| | AP | AP50 | AP75 | APs | APm | APl |'
    assert rows[2] == '| box | 0.100 | 0.200 | 0.300 | 0.400 | 0.500 | - |'
    assert rows[3] == '| mask | 0.110 | 0.210 | 0.310 | 0.410 | 0.510 | - |'


def test_files_are_whole_or_not_there(tmp_path):
    write_files(tmp_path / 'new', {'a.png': b'1', 'b.md': b'2'})
    assert {p.name: p.read_bytes() for p in (tmp_path / 'new').iterdir()} == {'a.png': b'1', 'b.md': b'2'}
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='another folder'):
        write_files(tmp_path / 'file', {'a.png': b'1'})
    with pytest.raises(TypeError):
        write_files(tmp_path / 'new', {'a.png': b'3', 'b.md': None})
    assert {p.name: p.read_bytes() for p in (tmp_path / 'new').iterdir()} == {'a.png': b'1', 'b.md': b'2'}


def test_bad_input_is_one_sentence(tool, tmp_path, capsys):
    config, checkpoint, work_dir = tmp_path / 'config.py', tmp_path / 'iter_1.pth', tmp_path / 'run'

    def refused(*more):
        args = [str(config), str(checkpoint), '--work-dir', str(work_dir), *more]
        assert tool.main(args) == 1
        error = capsys.readouterr().err
        assert error.startswith('error: ') and error.count('\n') == 1
        return error

    assert str(work_dir) in refused()
    work_dir.mkdir()
    assert '--images' in refused('--images', '0')
    assert 'config.py' in refused()
    config.write_text(f'_base_ = "{ROOT}/configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_ms-4x_coco.py"')
    assert 'scalars.json' in refused()
    write_log(work_dir, [])
    assert 'no line of training' in refused()
    write_log(work_dir, [train_line(20)], 'later')
    data = ['--cfg-options', f'data_root={tmp_path}/none']
    assert f'{tmp_path}/none' in refused(*data)
    make_shapes(tmp_path / 'shapes', 0, 2, 64, report=lambda line: None)
    data[1] = f'data_root={tmp_path}/shapes'
    assert 'ellipse' in refused(*data)  # the config is for COCO's classes
    classes = ['val_dataloader.dataset.metainfo.classes=' + str(list(CLASSES)), 'model.num_classes=4']
    assert 'iter_1.pth' in refused(*data, *classes)
    checkpoint.write_bytes(b'not a checkpoint')
    assert 'iter_1.pth' in refused(*data, *classes)
    assert sorted(p.name for p in work_dir.iterdir()) == ['20260102_030405', 'later']
