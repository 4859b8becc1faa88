"""Prediction by Segmenter: with exported files, by onnxruntime and OpenVINO, and with configs, by torch."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import mmcv
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exported import write_constants, write_model
from PIL import Image
from pycocotools import mask as mask_api
from tiny_run import ROOT, find_something, load_tool

from mmcentermask import Segmenter
from mmcentermask.apis import CenterMaskInferencer
from mmcentermask.datasets import LegacyResize
from mmcentermask.errors import ImageError, InputError, MissingFileError
from mmcentermask.runtime.exported_model import ExportedModel
from mmcentermask.runtime.resizing import fitted_size
from mmcentermask.structures import encode_boundaries, find_boundaries, paste_legacy, paste_rle
from mmcentermask.structures.mask_boundaries import sample_bilinear

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)  # twice as large at the graph's input


@pytest.fixture(params=['onnxruntime', 'openvino'])
def backend(request):
    pytest.importorskip(request.param)
    return request.param


def test_an_exported_file_by_hand(backend, tmp_path):
    path = write_constants(tmp_path / 'a.onnx', boxes=[(20, 10, 60, 50), (0, 0, 128, 64)], index=[0, 0])
    segmenter = Segmenter(path, backend=backend, threads=1)
    found = segmenter.predict(IMAGE)
    assert segmenter.classes == ('cat', 'dog') and found.names == ['dog', 'cat']
    assert found.boxes.tolist() == [[10, 5, 30, 25], [0, 0, 64, 32]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.4]) and found.mask_scores.tolist() == pytest.approx(
        [0.8, 0.2]
    )
    expected = np.zeros((2, 32, 64), bool)
    expected[0, 5:25, 10:30] = expected[1] = True
    assert np.array_equal(found.masks(), expected) and (found.height, found.width, found.file_name) == (32, 64, None)
    assert segmenter.predict(IMAGE, threshold=0.5).names == ['dog']
    assert segmenter.predict(IMAGE, classes=['cat']).names == ['cat']


def test_what_a_file_says_of_itself_is_followed(tmp_path):
    pytest.importorskip('onnxruntime')
    maps = np.random.default_rng(0).random((1, 28, 28), dtype=np.float32)
    boxes = torch.tensor([[10.0, 5.0, 30.0, 25.0]])

    def found(**more):
        return Segmenter(write_constants(tmp_path / 'a.onnx', maps=maps, **more)).predict(IMAGE)

    (legacy,) = paste_legacy(torch.from_numpy(maps), boxes, 32, 64, 0.5, 'rle')
    plain = found(mask_scoring=False)
    assert plain.mask_scores is None and plain.rle[0]['counts'].encode() != legacy['counts']
    old = found(pasting='legacy', legacy_box_offset=True)
    assert old.boxes.tolist() == [[10, 5, 31, 26]] and old.rle[0]['counts'].encode() == legacy['counts']
    (low,) = paste_rle(torch.from_numpy(maps), boxes, 32, 64, 0.2)
    assert found(mask_thr=0.2).rle[0]['counts'].encode() == low['counts']
    assert found(keep_ratio=False, scale=[64, 64]).boxes.tolist() == [[20, 5, 60, 25]]


def test_batches_have_their_own_images_and_sizes(tmp_path):
    pytest.importorskip('onnxruntime')
    # the second image of a batch has one box, the first none
    path = write_constants(tmp_path / 'a.onnx', index=[1])
    images = [IMAGE, IMAGE, IMAGE[:, :40], IMAGE, IMAGE, IMAGE]
    found = Segmenter(path).predict(images, batch_size=3)
    assert [len(one) for one in found] == [0, 1, 0, 0, 1, 0] and found[2].width == 40
    path = write_constants(tmp_path / 'b.onnx', index=[1], batch=2)
    assert [len(one) for one in Segmenter(path).predict([IMAGE] * 5, batch_size=5)] == [0, 1, 0, 1, 0]


def test_an_image_of_one_size(tmp_path):
    """It is fitted into the size that the graph takes, and padded with the mean; what lies there is dropped."""
    pytest.importorskip('onnxruntime')
    boxes = [(20, 10, 60, 50), (70, 0, 90, 30), (100, 70, 120, 80)]
    path = write_constants(tmp_path / 'a.onnx', boxes=boxes, index=[0] * 3, static_shape=[96, 96])
    model = ExportedModel(path)
    loaded = model.load(IMAGE)
    assert loaded.size == (96, 48) and loaded.pixels.shape == (96, 96, 3) and (loaded.pixels[48:] == [1, 2, 3]).all()
    assert np.array_equal(loaded.pixels[:48], cv2.resize(IMAGE, (96, 48)))
    (found,) = model.run([loaded])
    np.testing.assert_allclose(found.boxes, np.array([(20, 10, 60, 48), (70, 0, 90, 30)]) / 1.5, rtol=1e-6)


def test_images_are_resized_as_by_mmcv(tmp_path):
    pytest.importorskip('onnxruntime')
    rng = np.random.default_rng(0)
    for width, height in rng.integers(1, 3000, (2000, 2)).tolist():
        assert fitted_size(width, height, (1333, 800)) == mmcv.rescale_size((width, height), (1333, 800))
    ours = ExportedModel(write_constants(tmp_path / 'a.onnx'))
    legacy = ExportedModel(write_constants(tmp_path / 'b.onnx', resize='legacy'))
    for shape in ((50, 70), (33, 31), (100, 260), (97, 49)):
        image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        assert np.array_equal(ours.load(image).pixels, mmcv.imrescale(image, (128, 64)))
        assert np.array_equal(legacy.load(image).pixels, LegacyResize((128, 64))(dict(img=image))['img'])


def test_sampling_in_numpy_and_in_torch():
    rng = np.random.default_rng(0)
    grid_map = rng.random((28, 20), dtype=np.float32)
    points = rng.uniform(-1.3, 1.3, (5000, 2)).astype(np.float32)
    points[:4] = [(-1, -1), (1, 1), (np.nan, 0), (-9, 9)]
    torchs = F.grid_sample(
        torch.from_numpy(grid_map)[None, None], torch.from_numpy(points)[None, None], align_corners=False
    )
    sampled = sample_bilinear(grid_map, points)
    np.testing.assert_allclose(sampled[np.arange(5000) != 2], np.delete(torchs.flatten(), 2), atol=5e-6)
    assert sampled[2] == 0


def test_masks_are_those_of_the_model():
    """They may differ at pixels whose value is within rounding of the threshold, of which there are none here."""
    rng = np.random.default_rng(1)
    maps = 1 / (1 + np.exp(-rng.normal(0, 6, (40, 28, 28)))).astype(np.float32)
    boxes = np.sort(rng.uniform(-20, 320, (40, 2, 2)), axis=1).reshape(40, 4).astype(np.float32)
    codes = encode_boundaries(list(find_boundaries(maps, boxes, 300, 310)), 300, 310)
    expected = paste_rle(torch.from_numpy(maps), torch.from_numpy(boxes), 300, 310)
    differing = sum(int((mask_api.decode(a) != mask_api.decode(b)).sum()) for a, b in zip(codes, expected))
    assert differing <= 1 and mask_api.area(codes).sum() > 1e5


def test_forms_of_inputs_and_results(tmp_path, capsys):
    pytest.importorskip('onnxruntime')
    segmenter = Segmenter(write_constants(tmp_path / 'a.onnx'))
    for name in ('b.png', 'a.png'):
        cv2.imwrite(str(tmp_path / name), IMAGE)
    (tmp_path / 'c.png').write_bytes(b'no image')
    one = segmenter.predict(tmp_path / 'a.png')
    assert one.file_name == str(tmp_path / 'a.png') and len(one) == 1
    content = (tmp_path / 'a.png').read_bytes()
    for image in (content, IMAGE, Image.fromarray(IMAGE[..., ::-1]), str(tmp_path / 'a.png')):
        assert segmenter.predict(image).rle == one.rle
    for images in (tmp_path, str(tmp_path / '?.png'), [tmp_path / 'a.png', content, tmp_path / 'c.png']):
        first, second, bad = segmenter.predict(images)
        assert first.file_name == one.file_name and second.rle == one.rle and bad is None
        assert 'c.png cannot be decoded' in capsys.readouterr().err
    assert [len(found) for found in segmenter.predict([IMAGE, IMAGE], progress=True)] == [1, 1]
    assert '2/2' in capsys.readouterr().err
    assert segmenter.predict([]) == []


def test_a_generator_is_read_as_its_results_are(tmp_path):
    pytest.importorskip('onnxruntime')
    read = []

    def images():
        for number in range(10**9):
            read.append(number)
            yield IMAGE

    results = Segmenter(write_constants(tmp_path / 'a.onnx')).predict(images(), batch_size=4)
    assert read == []
    assert len(next(results)) == 1 and len(read) == 4
    assert [len(next(results)) for _ in range(3)] == [0, 0, 0] and len(read) == 4  # the box is of a batch's first image


def test_the_limit_is_told_once_where_it_matters(tmp_path, capsys):
    pytest.importorskip('onnxruntime')
    boxes = [(0, 0, 9, 9)] * 50
    segmenter = Segmenter(write_constants(tmp_path / 'a.onnx', boxes=boxes, index=[0] * 50))
    segmenter.predict(IMAGE, threshold=0.5)  # the last of the 50 is below it: none is missing
    assert capsys.readouterr().err == ''
    segmenter.predict([IMAGE, IMAGE])
    assert capsys.readouterr().err.count('limit of 50 objects') == 1


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('', 'was not exported by mmcentermask'),
        ('[]', 'was not exported by mmcentermask'),
        (json.dumps(dict(format_version=99, package_version='9.0')), 'export format 99.* install mmcentermask 9.0'),
    ],
)
def test_files_of_others(text, words, backend, tmp_path):
    with pytest.raises(InputError, match=words):
        Segmenter(write_constants(tmp_path / 'a.onnx', text=text), backend=backend)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (dict(backend='tensorflow'), "no backend 'tensorflow': give one of onnxruntime, openvino"),
        (dict(device='tpu'), "no device 'tpu' here"),
        (dict(threads=0), 'threads is 0'),
        (dict(max_per_img=2.5), 'max_per_img is 2.5'),
        (dict(score_thr=7), 'the threshold is 7'),
        (dict(score_thr=0.3), 'score_thr of .* is fixed'),  # in this file, which has no such input
        (dict(weights='a.pth'), 'give it alone'),
    ],
)
def test_refused_options(options, words, tmp_path):
    pytest.importorskip('onnxruntime')
    with pytest.raises(InputError, match=words):
        Segmenter(write_constants(tmp_path / 'a.onnx'), **options)


def test_refused_files(backend, tmp_path, monkeypatch):
    (tmp_path / 'bad.onnx').write_text('no graph')
    with pytest.raises(InputError, match='bad.onnx cannot be read by') as caught:
        Segmenter(tmp_path / 'bad.onnx', backend=backend)
    assert '\n' not in str(caught.value)
    with pytest.raises(MissingFileError, match='nowhere.onnx'):
        Segmenter('nowhere.onnx')
    (tmp_path / 'a.xml').write_text('<net/>')
    with pytest.raises(InputError, match='onnxruntime cannot read .*a.xml'):
        Segmenter(tmp_path / 'a.xml', backend='onnxruntime')
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == backend else found(name))
    with pytest.raises(InputError, match=f'the package {backend}, which is not installed: pip install {backend}'):
        Segmenter(tmp_path / 'bad.onnx', backend=backend)


def test_refused_images_and_settings(tmp_path):
    pytest.importorskip('onnxruntime')
    segmenter = Segmenter(write_constants(tmp_path / 'a.onnx'))
    for images, options, error, words in (
        (IMAGE, dict(threshold=1.5), InputError, 'the threshold is 1.5'),
        (IMAGE, dict(classes=['cow']), InputError, "no class 'cow'"),
        (IMAGE, dict(batch_size=0), InputError, 'batch_size is 0'),
        (np.zeros((6000, 9, 3), np.uint8), {}, ImageError, '9 x 6000 pixels'),
        (np.zeros((6000, 1, 3), np.uint8), {}, ImageError, '1 x 6000 pixels'),
        ('nowhere.jpg', {}, MissingFileError, 'nowhere.jpg'),
        (str(tmp_path), {}, InputError, 'no image in the folder'),
        (str(tmp_path / '*.jpg'), {}, MissingFileError, r'\*.jpg'),
        (b'', {}, ImageError, 'is empty'),
    ):
        with pytest.raises(error, match=words):
            segmenter.predict(images, **options)


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """A config, and weights that find something."""
    return find_something(tmp_path_factory.mktemp('segmenter'))


def test_a_config_gives_the_results_of_the_inferencer(tiny, tmp_path):
    config, weights = tiny
    cv2.imwrite(str(tmp_path / 'a.png'), IMAGE)
    images = [str(tmp_path / 'a.png'), IMAGE[:, ::-1].copy(), IMAGE[:20]]
    expected = CenterMaskInferencer(config, weights, 'cpu', show_progress=False)(images)['predictions']
    segmenter = Segmenter(config, weights, device='cpu', threads=torch.get_num_threads())
    found = segmenter.predict(images, threshold=0)
    assert [one.to_dict() for one in found] == expected and len(found[0]) == 5
    assert segmenter.classes == ('ellipse', 'rectangle', 'triangle', 'star')
    more = Segmenter(config, weights, device='cpu', max_per_img=8, iou_thr=0.9, score_thr=0.001)
    assert [len(one) for one in more.predict(images, threshold=0, batch_size=2)] == [8, 8, 8]
    assert segmenter.predict([b'', IMAGE], threshold=0)[0] is None
    with pytest.raises(InputError, match="backend='openvino' is for an exported file"):
        Segmenter(config, weights, backend='openvino')
    with pytest.raises(MissingFileError, match='nowhere.pth'):
        Segmenter(config, 'nowhere.pth', device='cpu')
    with pytest.raises(InputError, match='no_option'):
        Segmenter(config, weights, device='cpu', cfg_options={'model.no_option': 1})


def demo(*args):
    return load_tool('demo/onnx_demo.py').main([str(arg) for arg in args])


def test_the_demo_on_images(tmp_path, capsys):
    pytest.importorskip('onnxruntime')
    model, out = write_constants(tmp_path / 'a.onnx'), tmp_path / 'out'
    (tmp_path / 'in').mkdir()
    cv2.imwrite(str(tmp_path / 'in/a.png'), IMAGE)
    assert demo(tmp_path / 'in', model, '--out-dir', out) == 0
    assert '1 image(s), 1 object(s)' in capsys.readouterr().out
    assert json.loads((out / 'preds/a.json').read_text())['class_names'] == ['dog']
    assert not np.array_equal(cv2.imread(str(out / 'vis/a.png')), IMAGE)
    for _ in range(2):  # the drawings of the first run are no input of the second
        assert demo(tmp_path / 'in', model, '--out-dir', tmp_path / 'in/out', '--recursive') == 0
        assert '1 image(s), 1 object(s)' in capsys.readouterr().out
    (tmp_path / 'in/b.png').write_bytes(b'')
    assert demo(tmp_path / 'in', model, '--out-dir', out, '--classes', 'cat') == 1
    printed, error = capsys.readouterr()
    assert '1 image(s), 0 object(s)' in printed and 'b.png' in error and 'error: 1 of 2 images failed' in error


def test_the_demo_on_a_video(tmp_path, capsys):
    pytest.importorskip('onnxruntime')
    model, out, video = write_constants(tmp_path / 'a.onnx'), tmp_path / 'out', tmp_path / 'street.mp4'
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*'mp4v'), 10, (64, 32))
    for _ in range(5):
        writer.write(IMAGE)
    writer.release()
    assert demo(video, model, '--out-dir', out, '--frames', 3) == 0
    assert capsys.readouterr().out.startswith('3 frame(s), ')
    lines = [json.loads(line) for line in (out / 'preds/street.jsonl').read_text().splitlines()]
    assert [line['frame'] for line in lines] == [0, 1, 2] and lines[2]['class_names'] == ['dog']
    drawn = cv2.VideoCapture(str(out / 'vis/street.mp4'))
    assert [drawn.get(key) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS)] == [3, 10]
    assert sorted(path.name for path in out.rglob('*.*')) == ['street.jsonl', 'street.mp4']


@pytest.mark.parametrize(
    ('source', 'more', 'words'),
    [
        ('63', [], 'the camera 63 cannot be opened'),
        ('nowhere.mp4', [], 'no video nowhere.mp4'),
        (f'{__file__}.mp4', [], 'no video'),
        ('nowhere.png', [], 'no image'),
        (__file__, ['--out-dir', __file__], 'cannot write to'),
        (__file__, ['--threshold', '2'], 'the threshold is 2'),
        (__file__, ['--device', 'tpu'], "no device 'tpu'"),
    ],
)
def test_the_demo_refuses(source, more, words, tmp_path, capfd):
    pytest.importorskip('onnxruntime')
    model, out = write_constants(tmp_path / 'a.onnx'), tmp_path / 'out'
    assert demo(source, model, '--out-dir', out, *more) == 1
    error = capfd.readouterr().err
    assert words in error and error.startswith('error: ') and error.count('\n') == 1
    assert not [path for path in tmp_path.rglob('*') if path.is_file() and path.name != 'a.onnx']


@pytest.mark.slow
def test_a_web_page_finds_the_same(tiny, tmp_path):
    """In Chromium, which has no Python: the same boxes and as many pixels."""
    pytest.importorskip('onnxruntime')
    packages = Path(sys.prefix, 'web')
    if not (shutil.which('node') and (packages / 'node_modules').exists()):
        pytest.skip('there is no node or no Chromium: make web')
    model = write_model(tmp_path / 'a.onnx', *tiny)
    image = np.random.default_rng(0).integers(0, 256, (60, 96, 3), dtype=np.uint8)  # as large as the graph wants it
    cv2.imwrite(str(tmp_path / 'a.png'), image)

    def opened(model):
        command = ['node', ROOT / 'tests/web_demo.mjs', packages, model, tmp_path / 'a.png', '0']
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    result, expected = opened(model), Segmenter(model).predict(image, threshold=0)
    assert [found['name'] for found in result['found']] == expected.names and len(expected) == 5
    assert result['state'].startswith('5 object(s)')
    np.testing.assert_allclose([found['box'] for found in result['found']], expected.boxes, atol=1e-2)
    # at random weights many values are close to the threshold
    areas = mask_api.area(expected.rle)
    np.testing.assert_allclose([found['area'] for found in result['found']], areas, atol=0.01 * image.size / 3)
    (tmp_path / 'b.onnx').write_text('no export')
    assert 'was not exported by mmcentermask' in opened(tmp_path / 'b.onnx')['state']


def test_nothing_that_an_exported_model_does_without_is_imported():
    """Nor drawing, which takes a while; the import itself of what would be there is tested in test_install.py."""
    program = (
        'import sys, types; sys.modules.update(dict.fromkeys(("torch", "mmcv", "mmengine", "mmdet")));'
        f'package = types.ModuleType("mmcentermask"); package.__path__ = ["{ROOT}/mmcentermask"];'
        'sys.modules["mmcentermask"] = package; from mmcentermask.runtime import Segmenter;'
        'assert "matplotlib" not in sys.modules; import mmcentermask.visualization.drawing'
    )
    subprocess.run([sys.executable, '-c', program], check=True)


@pytest.mark.filterwarnings('ignore:Specified provider')
def test_a_device_whose_libraries_are_missing_is_not_exchanged_for_the_cpu(tmp_path, monkeypatch):
    onnxruntime = pytest.importorskip('onnxruntime')
    if 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
        pytest.skip('this onnxruntime has CUDA')
    model = str(write_constants(tmp_path / 'a.onnx'))
    with pytest.raises(InputError, match="onnxruntime has no device 'cuda' here"):
        Segmenter(model, device='cuda')
    names = ['CUDAExecutionProvider', 'CPUExecutionProvider']
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: names)
    with pytest.raises(InputError, match='onnxruntime cannot use cuda here'):
        Segmenter(model, device='cuda')


def test_images_of_a_generator_keep_their_names(tmp_path):
    pytest.importorskip('onnxruntime')
    cv2.imwrite(str(tmp_path / 'a.png'), IMAGE)
    segmenter = Segmenter(write_constants(tmp_path / 'a.onnx'))
    for source in (tmp_path / 'a.png', str(tmp_path / 'a.png')):
        (found,) = segmenter.predict(iter([source]))
        assert found.file_name == str(tmp_path / 'a.png')
        found.save(tmp_path / 'drawn.png')  # in the image of this name
