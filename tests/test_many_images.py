"""Any number of images go to a folder of results once each, whatever stops the run between."""

import errno
import json
from functools import partial
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from tiny_run import load_tool

from mmcentermask.errors import InputError, MissingFileError, OutputError
from mmcentermask.image_inputs import read_image
from mmcentermask.runtime import Segmenter
from mmcentermask.runtime.many_images import find_images, predict_rows, write_rows
from mmcentermask.structures import Instances


class OneBox:
    """Finds the box 1, 2, 5, 6 in every image, and can be stopped before one."""

    classes, max_per_img = ('cat', 'dog'), 100

    def __init__(self, stop_at=None):
        self.stop_at, self.seen = stop_at, []

    def load(self, source):
        height, width = read_image(source).shape[:2]
        return SimpleNamespace(name=source, height=height, width=width)

    def run(self, images):
        if self.stop_at in [image.name.rsplit('/')[-1] for image in images]:
            raise KeyboardInterrupt
        self.seen += [image.name for image in images]
        box, label, score = np.array([[1, 2, 5, 6]], np.float32), np.array([1]), np.array([0.75], np.float32)
        code = {'size': [10, 12], 'counts': '`01'}
        return [
            Instances(box, label, score, [code], image.height, image.width, self.classes, None, image.name)
            for image in images
        ]


def segmenter(**options):
    made = Segmenter.__new__(Segmenter)
    made._model, made.classes, made._limit_told = OneBox(**options), OneBox.classes, False
    return made


@pytest.fixture
def photos(tmp_path):
    for name in ('b.png', 'a.jpg', 'c/d.png', 'c/.hidden.png'):
        (tmp_path / 'photos' / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / 'photos' / name), np.zeros((10, 12, 3), np.uint8))
    (tmp_path / 'photos/broken.png').write_bytes(b'\x89PNG')
    return tmp_path / 'photos'


def predict_to_folder(made, images, folder, settings, batch_size=1, **options):
    return write_rows(partial(predict_rows, made, batch_size=batch_size), images, folder, settings, **options)


def rows_of(folder):
    return [json.loads(line) for part in sorted(folder.glob('part-*.jsonl')) for line in part.read_text().splitlines()]


def test_images_are_found_in_folders_patterns_lists_and_annotation_files(photos):
    every = [str(photos / name) for name in ('a.jpg', 'b.png', 'broken.png', 'c/d.png')]
    assert list(find_images([str(photos)])) == every
    assert list(find_images([str(photos)], recursive=False)) == every[:3]
    assert list(find_images([str(photos / '*.png')])) == [every[1], every[2]]
    (photos / 'list.txt').write_text('b.png\n\nc/d.png\n')
    (photos / 'coco.json').write_text(json.dumps(dict(images=[dict(id=1, file_name='a.jpg')])))
    found = find_images([str(photos / 'list.txt'), str(photos / 'coco.json')])
    assert list(found) == [every[1], every[3], every[0]]
    assert list(find_images([str(photos / 'list.txt')], image_dir='x')) == ['x/b.png', 'x/c/d.png']


def test_images_that_are_not_there(photos):
    with pytest.raises(MissingFileError, match='correct the path'):
        list(find_images([str(photos / '*.gif')]))
    (photos / 'empty').mkdir()
    with pytest.raises(InputError, match='there is no image in the folder'):
        list(find_images([str(photos / 'empty')]))
    (photos / 'x.json').write_text('[]')
    with pytest.raises(InputError, match="no annotation file in COCO's format"):
        list(find_images([str(photos / 'x.json')]))


@pytest.mark.parametrize('batch_size', [1, 3])
def test_each_image_has_one_row_also_after_a_stop(photos, tmp_path, batch_size):
    out, images = tmp_path / 'out', list(find_images([str(photos)]))
    options = dict(settings=dict(model='m'), part_size=2, batch_size=batch_size)
    with pytest.raises(KeyboardInterrupt):
        predict_to_folder(segmenter(stop_at='d.png'), images, out, **options)
    before = {row['file_name'] for row in rows_of(out)}
    assert 'd.png' not in str(before) and len(before) == {1: 3, 3: 3}[batch_size]
    second = segmenter()
    counts = predict_to_folder(second, images, out, **options)
    assert counts == dict(images=4 - len(before), objects=1, failed=0, done_before=len(before))
    rows = rows_of(out)
    assert sorted(row['file_name'] for row in rows) == images and second._model.seen == [images[3]]
    by_name = {row['file_name']: row for row in rows}
    assert by_name[images[0]]['bboxes'] == [[1, 2, 5, 6]] and by_name[images[0]]['class_names'] == ['dog']
    assert 'is truncated or no image' in by_name[images[2]]['error']
    assert predict_to_folder(segmenter(), images, out, **options)['images'] == 0
    assert not list(out.glob('*unfinished'))


def test_a_part_that_a_kill_left_unwritten_is_predicted_again(photos, tmp_path):
    images = list(find_images([str(photos)]))
    options = dict(settings={}, part_size=2)
    predict_to_folder(segmenter(), images, tmp_path / 'out', **options)
    (tmp_path / 'out/part-00000.jsonl').unlink()
    assert predict_to_folder(segmenter(), images, tmp_path / 'out', **options)['images'] == 2
    assert sorted(row['file_name'] for row in rows_of(tmp_path / 'out')) == images


def test_an_image_that_is_given_twice_has_one_row(photos, tmp_path):
    images = find_images([str(photos / 'a.jpg'), str(photos), str(photos / '*.jpg')])
    assert predict_to_folder(segmenter(), images, tmp_path / 'out', {})['images'] == 4
    assert len({row['file_name'] for row in rows_of(tmp_path / 'out')}) == len(rows_of(tmp_path / 'out')) == 4


def test_a_folder_holds_the_results_of_one_run(photos, tmp_path):
    predict_to_folder(segmenter(), [str(photos / 'a.jpg')], tmp_path / 'out', dict(threshold=0.3))
    with pytest.raises(InputError, match='another run .threshold 0.3 and not 0.5.: choose another folder with --out'):
        predict_to_folder(segmenter(), [str(photos / 'a.jpg')], tmp_path / 'out', dict(threshold=0.5))


def test_what_is_written_before_the_disk_is_full_stays(photos, tmp_path, monkeypatch):
    images, out, writes = [str(photos / 'a.jpg'), str(photos / 'b.png')], tmp_path / 'out', []

    def fsync(descriptor):
        writes.append(descriptor)
        if len(writes) == 3:  # of the settings, the first part, the second
            raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('mmcentermask.atomic_write.os.fsync', fsync)
    with pytest.raises(OutputError, match='No space left on device.*run it again, which goes on from here'):
        predict_to_folder(segmenter(), images, out, {}, part_size=1)
    assert sorted(path.name for path in out.iterdir()) == ['part-00000.jsonl', 'settings.json']
    assert predict_to_folder(segmenter(), images, out, {}, part_size=1)['images'] == 1
    assert [row['file_name'] for row in rows_of(out)] == images


def test_rows_of_parquet_are_those_of_jsonl(photos, tmp_path):
    parquet = pytest.importorskip('pyarrow.parquet')
    images = list(find_images([str(photos)]))
    predict_to_folder(segmenter(), images, tmp_path / 'a', {})
    predict_to_folder(segmenter(), images, tmp_path / 'b', {}, file_format='parquet')
    (part,) = (tmp_path / 'b').glob('part-*')
    table = [{key: v for key, v in row.items() if v is not None} for row in parquet.read_table(part).to_pylist()]
    assert table == rows_of(tmp_path / 'a')
    assert predict_to_folder(segmenter(), images, tmp_path / 'b', {}, file_format='parquet')['images'] == 0


def test_the_command_counts_and_tells_what_failed(photos, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr('mmcentermask.runtime.Segmenter', lambda *args, **kwargs: segmenter())
    tool = load_tool('tools/predict.py')
    args = [str(photos), 'model.onnx', '--out', str(tmp_path / 'out'), '--threshold', '0.5']
    assert tool.main(args) == 1
    told = capsys.readouterr()
    assert '4 images, 3 objects' in told.out and '1 images cannot be used' in told.err
    assert tool.main(args) == 0 and '(4 were done before)' in capsys.readouterr().out
    assert tool.main([*args, '--part-size', '0']) == 1 and '--part-size is 0' in capsys.readouterr().err
    assert tool.main([*args, '--classes', 'dgo', '--out', str(tmp_path / 'new')]) == 1
    assert 'did you mean dog?' in capsys.readouterr().err and not (tmp_path / 'new').exists()
