"""The page of demo/web_demo.py: what it is made of, and a real browser on it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from exported import write_constants
from tiny_run import ROOT, find_something, load_tool

from mmcentermask.apis.explanation import explain
from mmcentermask.apis.torch_model import TorchModel
from mmcentermask.errors import ImageError
from mmcentermask.runtime.web_page import Model, Seen, read_upload
from mmcentermask.structures import Instances, encode_crop

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 96, 3), dtype=np.uint8)


def code(x, y, width, height):
    return encode_crop(np.ones((height, width), bool), x, y, 60, 96)


@pytest.fixture
def seen():
    """A large object, a small one on it, and one elsewhere."""
    boxes = np.array([[10, 10, 50, 50], [20, 20, 30, 30], [60, 0, 70, 10]], np.float32)
    found = Instances(
        boxes,
        np.array([0, 1, 0]),
        np.array([0.9, 0.5, 0.2], np.float32),
        [code(10, 10, 40, 40), code(20, 20, 10, 10), code(60, 0, 10, 10)],
        60,
        96,
        ('cat', 'dog'),
        np.array([0.45, 0.4, 0.2], np.float32),
    )
    return Seen(IMAGE, found, None, 0.1)


def test_choosing(seen):
    assert seen.choose(0, 0, []).tolist() == [0, 1, 2]
    assert seen.choose(0.5, 0, []).tolist() == [0, 1]
    assert seen.choose(0, 0.42, []).tolist() == [0]
    assert seen.choose(0, 0, ['dog']).tolist() == [1]


@pytest.mark.parametrize(
    ('x', 'y', 'chosen', 'index'),
    [
        (15, 15, [0, 1, 2], 0),
        (25, 25, [0, 1, 2], 1),  # the smaller one
        (25, 25, [0, 2], 0),
        (29, 29, [0, 1, 2], 1),
        (30, 30, [0, 1, 2], 0),
        (69, 9, [0, 1, 2], 2),
        (70, 9, [0, 1, 2], None),
        (-1, 9, [0, 1, 2], None),
        (10_000, 9, [0, 1, 2], None),
        (15, 15, [], None),
    ],
)
def test_the_object_at_a_place(seen, x, y, chosen, index):
    assert seen.object_at(x, y, np.array(chosen, int)) == index


def table(text):
    """Return the rows of a table in Markdown as a dict."""
    rows = [[cell.strip() for cell in row.split('|')[1:-1]] for row in text.splitlines()]
    return {name: value for name, value in rows if name != '---'}


def test_facts(seen):
    assert table(seen.describe(1)) == {
        'class': 'dog',
        'score': '0.500',
        'mask IoU, predicted': '0.800',
        'mask score': '0.400',
        'area': '100 pixels',
    }


def png(height, width):
    return cv2.imencode('.png', np.zeros((height, width), np.uint8))[1].tobytes()


def test_uploads():
    np.testing.assert_array_equal(read_upload(cv2.imencode('.png', IMAGE)[1].tobytes()), IMAGE)
    with pytest.raises(ImageError, match='of 8 bytes cannot be decoded, it is truncated or no image'):
        read_upload(b'no image')
    for height, width in ((7_100, 7_100), (15_000, 15_000)):  # the second one Pillow refuses to open
        with pytest.raises(ImageError, match='more than 50 million pixels'):
            read_upload(png(height, width))


def test_an_exported_model(tmp_path):
    pytest.importorskip('onnxruntime')
    model = Model(str(write_constants(tmp_path / 'a.onnx')))
    found = model.find(IMAGE)
    assert (model.name, model.classes, found.found.names, found.explanation) == ('a', ('cat', 'dog'), ['dog'], None)


def demo(*args):
    return load_tool('demo/web_demo.py').main([str(arg) for arg in args])


def test_no_model_and_no_gradio(tmp_path, monkeypatch, capsys):
    tool = load_tool('demo/web_demo.py')
    monkeypatch.setattr(tool, 'DEMO_RESULTS', tmp_path)
    monkeypatch.setitem(sys.modules, 'gradio', None)
    for record in (None, '/elsewhere/iter_7.pth'):  # the checkpoint of the record is gone
        if record:
            (tmp_path / 'last_checkpoint').write_text(record)
        assert tool.main([]) == 1
        error = capsys.readouterr().err
        assert f'error: there is no model in {tmp_path}: train one by `make demo`' in error and error.count('\n') == 1
    (tmp_path / 'iter_7.pth').touch()
    assert tool.main([]) == 1
    assert "error: the page needs the package gradio, which is not installed: pip install 'mmcent" in (
        capsys.readouterr().err
    )
    for wrong, told in (
        (['--max-upload', '0'], '--max-upload is 0: give 1 or more'),
        (['--weights', 'a.pth'], '--weights a.pth are of no model'),
        (['a.py', '--compare', 'b.py', 'b.pth', 'c.pth'], '--compare has 3 values'),
    ):
        assert tool.main(wrong) == 1
        assert told in capsys.readouterr().err


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def fetch(address, data=None):
    """Return the status and the text of an answer."""
    content = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(address, content, {'Content-Type': 'application/json'})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    """The address of a running page with two equal models, and the paths of one."""
    beside = Path(sys.prefix, 'gradio')
    if not beside.exists():
        pytest.skip('there is no gradio: make gradio')
    folder = tmp_path_factory.mktemp('page')
    config, weights = find_something(folder)
    port = free_port()
    command = [sys.executable, 'demo/web_demo.py', config, '--weights', weights, '--compare', config, weights]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
    # as in a terminal: SIGINT is ignored in what a script starts in the background, these tests among it
    start = 'import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);'
    start += f' sys.path.append({str(beside)!r}); sys.argv = sys.argv[1:];'
    command[1:2] = ['-c', f'{start} runpy.run_path("demo/web_demo.py", run_name="__main__")', 'demo/web_demo.py']
    process = subprocess.Popen(
        [*command, '--port', str(port)],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': paths, 'TMPDIR': str(folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line == f'The page is at http://127.0.0.1:{port}/ until Ctrl-C.\n', line
        yield f'http://127.0.0.1:{port}/', config, weights
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert not [*folder.glob('tmp*')], 'files of the page stay'
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_in_a_browser(page, tmp_path):
    packages = Path(sys.prefix, 'web')
    if not (shutil.which('node') and (packages / 'node_modules').exists()):
        pytest.skip('there is no node or no Chromium: make web')
    address, config, weights = page
    folder = tmp_path / 'browser'
    folder.mkdir()
    cv2.imwrite(str(folder / 'image.png'), IMAGE)
    (folder / 'text.png').write_text('no image')
    with open(folder / 'large.png', 'wb') as file:
        file.truncate(2 * 2**30)
    expected = explain(TorchModel(config, weights, 'cpu'), IMAGE)
    seen = Seen(IMAGE, expected.found, expected, 0)
    every = np.arange(len(expected.found))
    x, y = next((x, y) for y in range(60) for x in range(96) if seen.object_at(x, y, every) is not None)
    command = [
        'node',
        ROOT / 'tests/gradio_demo.mjs',
        packages,
        address,
        folder,
        x * seen.scale + 3,
        y * seen.scale + 3,
    ]
    command.append(expected.found.names.count('star'))
    found = json.loads(subprocess.run([*map(str, command)], stdout=subprocess.PIPE, check=True).stdout)
    assert found['errors'] == [] and found['elsewhere'] == []
    assert len(found['shown']['all']) == len(found['shown']['first']) == 2  # models side by side
    facts = dict(line.split('\t') for line in found['facts'].splitlines())
    assert facts == table(seen.describe(seen.object_at(x, y, every))) and facts['level'] == 'P3 (by Eq. 1 P3)'
    coco = json.loads((folder / 'objects.json').read_text())
    assert coco['annotations'] == expected.found.to_coco()['annotations'] and len(coco['annotations']) == 5
    np.testing.assert_array_equal(
        cv2.imread(str(folder / 'objects.png')), expected.found.draw(IMAGE, scale=7)
    )  # 96 pixels to 640 or more
    assert found['refused']['text'].count('cannot be decoded, it is truncated or no image') == 1
    assert 'maximum allowed size of 20.0 Mb' in found['refused']['large']


@pytest.mark.slow
def test_no_path_of_the_browser_reaches_a_file(page, tmp_path):
    address, config, weights = page
    secret = tmp_path / 'secret.png'
    secret.write_bytes(png(60, 96))
    for path in (weights, secret, ROOT / 'setup.py', '/etc/passwd'):
        assert fetch(f'{address}gradio_api/file={path}')[0] == 403
    status, answer = fetch(
        f'{address}gradio_api/call/find', dict(data=[dict(path=str(secret), meta=dict(_type='gradio.FileData'))])
    )
    assert status == 200
    status, answer = fetch(f'{address}gradio_api/call/find/{json.loads(answer)["event_id"]}')
    assert answer.startswith('event: error')
