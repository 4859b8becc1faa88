"""The report of a run: the log is read rightly, the drawings are made, and bad input is told in one sentence."""

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from mmcentermask.apis import InputError, write_files
from mmcentermask.datasets import CLASSES, make_shapes
from mmcentermask.visualization import draw_curves, read_run_log
from mmcentermask.visualization.predictions import _pair, _sheet

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


def test_sheet_keeps_every_pixel_and_has_titles():
    rng = np.random.default_rng(0)
    tiles = [(rng.integers(0, 256, (h, w, 3), np.uint8), 'truth: a.jpg') for h, w in ((40, 190), (60, 170), (50, 190))]
    sheet = _sheet([tiles[:2], tiles[2:]])
    for tile, _ in tiles:
        height, width = tile.shape[:2]
        corners = np.argwhere((sheet == tile[0, 0]).all(axis=2))
        (top, left) = next((y, x) for y, x in corners if np.array_equal(sheet[y : y + height, x : x + width], tile))
        assert (sheet[top - 28 : top, left : left + width] < 100).any()  # letters
    long = _sheet([[(tiles[0][0], 'a name much too long for its image ' * 9)]])
    assert long.shape[1] == 190 + 2 * 16 and (long[:30, :14] == 255).all() and (long[:30, -14:] == 255).all()


@pytest.mark.parametrize(('size', 'scale'), [((64, 48), None), ((2000, 1000), None), ((40, 30), 2)])
def test_the_truth_stands_on_the_left_and_the_prediction_on_the_right(size, scale):
    height, width = size
    mask = np.zeros((1, height, width), np.uint8)
    mask[0, height // 4 : height // 2, width // 4 : -width // 4] = 1
    box = torch.tensor([[width / 4, height / 4, width * 3 / 4, height / 2]])
    something = InstanceData(bboxes=box, labels=torch.tensor([0]), masks=mask, scores=torch.tensor([0.9]))
    image = np.full((height, width, 3), 90, np.uint8)
    for truth, found, drawn in ((something, something[:0], 0), (something[:0], something, 1)):
        sides = _pair(image, truth, found, dict(classes=('thing',)), 'a.jpg', scale)
        assert [title for _, title in sides] == ['truth: a.jpg', 'prediction: a.jpg']
        assert all(max(side.shape) == (scale * max(size) if scale else 480) for side, _ in sides)
        assert (sides[1 - drawn][0] == 90).all()
        side = sides[drawn][0]
        assert (side[side.shape[0] * 3 // 8, side.shape[1] // 2] != 90).any()
        assert (side[side.shape[0] * 3 // 4 :] == 90).all()


def test_ap_table(tool, tmp_path):
    write_log(tmp_path, [train_line(20), val_line(20, 0.1)])
    rows = tool.ap_table(read_run_log(tmp_path).val[-1]).splitlines()
    assert rows[0] == '|  | AP | AP50 | AP75 | APs | APm | APl |'
    assert rows[2] == '| box | 0.100 | 0.200 | 0.300 | 0.400 | 0.500 | - |'
    assert rows[3] == '| mask | 0.110 | 0.210 | 0.310 | 0.410 | 0.510 | - |'
    assert tool.last_scores(read_run_log(tmp_path).val[-1]) == 'After iteration 20: box AP 0.100, mask AP 0.110'


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
        *warnings, error = capsys.readouterr().err.splitlines()  # of the dataset
        assert error.startswith('error: ') and all(line.startswith('warning: ') for line in warnings)
        return error

    assert str(work_dir) in refused()
    work_dir.mkdir()
    assert '--images' in refused('--images', '0')
    assert 'cuda:7' in refused('--device', 'cuda:7')
    assert '--out' in refused('--out', str(ROOT / 'README.md'))
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
