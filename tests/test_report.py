"""The report of a run: the log is read rightly, the drawings are made, and bad input is told in one sentence."""

import base64
import json
import sys
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from random_results import dataset, random_case
from tiny_run import run_tool

from mmcentermask.apis import InputError, write_files
from mmcentermask.evaluation import analyze_results
from mmcentermask.visualization import draw_curves, png_of, read_run_log
from mmcentermask.visualization.labelled_images import _pair, _sheet
from mmcentermask.visualization.run_report import last_scores, render_report

AP_KEYS = ('', '_50', '_75', '_s', '_m', '_l')


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


def write_log(work_dir, lines, run='20260102_030405', end='2026/01/02 03:34:05'):
    folder = work_dir / run / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    (folder.parent / f'{run}.log').write_text(f'{end} - mmengine - INFO - Saving checkpoint at 40 iterations\n')


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
    assert log.seconds == 1800  # also of a copy, whose files are newer


def test_log_by_epochs_is_put_on_iterations(tmp_path):
    lines = [train_line(50, epoch=1), train_line(100, epoch=1), val_line(1, 0.1), train_line(200, epoch=2)]
    write_log(tmp_path, lines + [val_line(2, 0.3)])
    assert [line['iteration'] for line in read_run_log(tmp_path).val] == [100, 200]


def test_epochs_in_a_run_by_iterations(tmp_path):
    # what LoggerHook writes by default
    write_log(tmp_path, [train_line(50), train_line(100), val_line(0, 0.1), train_line(200), val_line(1, 0.3)])
    assert [line['iteration'] for line in read_run_log(tmp_path).val] == [100, 200]


def test_resumed_run_goes_on(tmp_path):
    write_log(
        tmp_path,
        [train_line(20), train_line(40), val_line(40, 0.1), train_line(60)],
        '20260101_000000',
        '2026/01/01 01:00:00',
    )
    write_log(tmp_path, [train_line(60), train_line(80), val_line(80, 0.4)], '20260102_000000', '2026/01/02 01:00:00')
    log = read_run_log(tmp_path)
    assert log.seconds == 2 * 3600
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
    image = cv2.imdecode(np.frombuffer(png_of(draw_curves(read_run_log(tmp_path))), np.uint8), cv2.IMREAD_COLOR)
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


def test_files_are_whole_or_not_there(tmp_path):
    write_files(tmp_path / 'new', {'a.png': b'1', 'b.md': b'2'})
    assert {p.name: p.read_bytes() for p in (tmp_path / 'new').iterdir()} == {'a.png': b'1', 'b.md': b'2'}
    (tmp_path / 'file').touch()
    with pytest.raises(InputError, match='another folder'):
        write_files(tmp_path / 'file', {'a.png': b'1'})
    with pytest.raises(TypeError):
        write_files(tmp_path / 'new', {'a.png': b'3', 'b.md': None})
    assert {p.name: p.read_bytes() for p in (tmp_path / 'new').iterdir()} == {'a.png': b'1', 'b.md': b'2'}


@pytest.fixture
def run(tmp_path):
    """The work_dir of a run with two validations, its drawings and its config."""
    folder = tmp_path / 'run'
    write_log(folder, [train_line(20), val_line(20, 0.1), train_line(40, memory=123), val_line(40, 0.2)])
    vis = folder / '20260102_030405/vis_data'
    (vis / 'config.py').write_text("name = '<b>&'")
    (folder / 'my-config.py').touch()
    with (folder / '20260102_030405/20260102_030405.log').open('a') as file:
        file.write('    PyTorch: 2.13.0\n2026 - mmengine - INFO - Trains on: 7 images, <script>alert(1)</script>\n')
    (vis / 'vis_image').mkdir()
    for number, step, shade in ((0, 20, 50), (0, 40, 250), (1, 20, 90)):
        cv2.imwrite(str(vis / f'vis_image/example_{number}_{step}.png'), np.full((40, 900, 3), shade, np.uint8))
    (vis / 'vis_image/val_img_3.png').write_bytes(b'of another hook')
    return folder


class Page(HTMLParser):
    """The words of a page, what it loads, and its images."""

    def __init__(self, content):
        super().__init__()
        self.words, self.tags, self.loaded, self.images = [], [], [], []
        self.feed(content.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        for key in ('src', 'href', 'xlink:href'):
            value = values.get(key) or ''
            if value.startswith('data:image/jpeg;base64,') and tag == 'img':
                self.images.append(cv2.imdecode(np.frombuffer(base64.b64decode(value[23:]), np.uint8), 1))
            elif value and not value.startswith(('#', 'data:image/png')):  # the colors of the confusion matrix
                self.loaded.append(value)

    def handle_data(self, data):
        self.words += [data.strip()] if data.strip() else []


def test_page_of_a_run(run):
    page = Page(render_report(run))
    assert page.loaded == [] and 'script' not in page.tags
    words = page.words
    assert words[:1] == ['my-config: 40 iterations'] and "name = '<b>&'" in words
    assert words[words.index('mask') :][:7] == ['mask', '0.210', '0.310', '0.410', '0.510', '0.610', '-']
    assert '7 images, <script>alert(1)</script>' in words and '2.13.0' in words and '123 MB' in words
    assert '30.0 minutes from start to last log line, evaluation included' in words
    assert '0.500 s an iteration (median), 0% of it waiting for data' in words
    assert page.tags.count('svg') == 1 and any('tools/analyze.py' in word for word in words)
    # an image of the second example is missing: a place without one
    assert [image.shape for image in page.images] == [(21, 480, 3)] * 3
    assert [round(image.mean()) for image in page.images] == [50, 250, 90]
    assert [word for word in words if word.startswith('iteration ')] == ['iteration 20', 'iteration 40'] * 2


def test_drawings_of_a_run_that_was_begun_anew_are_left_out(run):
    write_log(run, [train_line(10), train_line(20)], '20260103_000000')
    assert Page(render_report(run)).images == []
    (run / '20260103_000000/vis_data/vis_image').mkdir()
    cv2.imwrite(str(run / '20260103_000000/vis_data/vis_image/example_0_20.png'), np.full((40, 900, 3), 130, np.uint8))
    assert [round(image.mean()) for image in Page(render_report(run)).images] == [130]


def test_page_with_errors(run):
    pytest.importorskip('hotcoco')
    content, results = random_case(0)
    content['categories'][0]['name'] = '<i>$x_1$'
    truth = dataset(content)
    results = dict.fromkeys(('bbox', 'segm'), results)
    analysis = analyze_results(truth, results, [entry['name'] for entry in content['categories']])
    (run / 'analysis').mkdir()
    (run / 'analysis/analysis.json').write_text(json.dumps(dict(analysis, ann_file='val.json', results='x.pkl')))
    cv2.imwrite(str(run / 'analysis/worst.jpg'), np.full((30, 50, 3), 10, np.uint8))
    page = Page(render_report(run))
    assert page.tags.count('svg') == 3 and '<i>$x_1$' in page.words and page.loaded == []
    assert 'right class, not precise enough' in page.words and 'The worst images' in page.words
    assert 'The best images' not in page.words


def test_no_validation_yet(tmp_path):
    write_log(tmp_path, [train_line(20)])
    page = Page(render_report(tmp_path))
    assert 'Not evaluated yet.' in page.words and any('ValidationImagesHook' in word for word in page.words)


def test_last_scores(tmp_path):
    write_log(tmp_path, [train_line(20), val_line(20, 0.1)])
    assert last_scores(read_run_log(tmp_path)) == 'After iteration 20: box AP 0.100, mask AP 0.110'


def test_tool(run, capsys):
    assert run_tool('tools/report.py', run, '--out', run / 'page.html') == 0
    assert Page((run / 'page.html').read_bytes()).words[0] == 'my-config: 40 iterations'
    assert 'box AP 0.200, mask AP 0.210' in capsys.readouterr().out


def test_bad_input_is_one_sentence(tmp_path, capsys, monkeypatch):
    work_dir = tmp_path / 'run'

    def refused(*more):
        assert run_tool('tools/report.py', work_dir, *more) == 1
        (error,) = capsys.readouterr().err.splitlines()
        assert error.startswith('error: ')
        return error

    assert f'no folder {work_dir}' in refused()
    work_dir.mkdir()
    assert 'scalars.json' in refused()
    write_log(work_dir, [])
    assert 'no line of training' in refused()
    write_log(work_dir, [train_line(20)], 'later')
    assert 'name another file' in refused('--out', tmp_path)
    (work_dir / 'analysis').mkdir()
    for content in ('', '[]', '{"segm": {}}'):
        (work_dir / 'analysis/analysis.json').write_text(content)
        assert 'analysis.json cannot be read' in refused()
    monkeypatch.setitem(sys.modules, 'jinja2', None)
    assert 'pip install mmcentermask[report]' in refused()
    assert sorted(p.name for p in work_dir.iterdir()) == ['20260102_030405', 'analysis', 'later']
