"""The drawn data set: the same for the same seed, valid COCO, and a task worth the name."""

import contextlib
import importlib.util
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmcentermask.datasets import (
    CLASSES,
    DEFAULT,
    HARD,
    PALETTE,
    Instance,
    decode,
    draw,
    make_shapes,
    segmentation,
    shapes_coco,
)

TRAIN, VAL, SIZE = 90, 12, 160
TOOL = Path(__file__).parents[1] / 'tools' / 'make_shapes.py'


def run_tool(*args):
    """Runs the command's main function; returns its exit code."""
    spec = importlib.util.spec_from_file_location('make_shapes_tool', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        return module.main([str(arg) for arg in args])
    except SystemExit as stop:  # argparse
        return stop.code


def contents(folder):
    """All files below a folder with their bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    out = tmp_path_factory.mktemp('made') / 'deep' / 'shapes'
    assert make_shapes(out, TRAIN, VAL, SIZE, seed=3)
    return out


@pytest.fixture(scope='module')
def coco(shapes):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(shapes / 'annotations' / 'instances_train2017.json'))


def test_layout(shapes, coco):
    assert sorted(path.name for path in shapes.iterdir()) == ['annotations', 'shapes.json', 'train2017', 'val2017']
    assert len(list((shapes / 'train2017').iterdir())) == TRAIN and len(list((shapes / 'val2017').iterdir())) == VAL
    assert [c['name'] for c in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    assert sorted(coco.getCatIds()) == [1, 2, 3, 4]
    assert sorted(coco.imgs) == list(range(1, TRAIN + 1))
    assert sorted(coco.anns) == list(range(1, len(coco.anns) + 1))


def test_same_seed_same_bytes(shapes, tmp_path):
    make_shapes(tmp_path / 'again', TRAIN, VAL, SIZE, seed=3)
    assert contents(tmp_path / 'again') == contents(shapes)
    make_shapes(tmp_path / 'other', 2, 2, SIZE, seed=4)
    first = 'train2017/000000000001.jpg'
    assert (tmp_path / 'other' / first).read_bytes() != (shapes / first).read_bytes()


def test_an_image_does_not_depend_on_how_many_are_made(shapes, tmp_path):
    make_shapes(tmp_path / 'few', 3, 1, SIZE, seed=3)
    for name in ('train2017/000000000003.jpg', 'val2017/000000000001.jpg'):
        assert (tmp_path / 'few' / name).read_bytes() == (shapes / name).read_bytes()
    names = [f'{split}2017/000000000001.jpg' for split in ('train', 'val')]
    assert (shapes / names[0]).read_bytes() != (shapes / names[1]).read_bytes()


def test_images_fit_their_entries(shapes, coco):
    ratios = set()
    for entry in coco.imgs.values():
        image = cv2.imread(str(shapes / 'train2017' / entry['file_name']))
        assert image.shape == (entry['height'], entry['width'], 3)
        assert max(image.shape) == SIZE
        ratios.add(np.sign(entry['width'] - entry['height']))
    assert ratios == {-1, 0, 1}  # portrait, square, landscape


def test_annotations_agree_with_their_masks(coco):
    forms = set()
    for annotation in coco.anns.values():
        entry = coco.imgs[annotation['image_id']]
        mask = coco.annToMask(annotation)
        assert mask.shape == (entry['height'], entry['width'])
        assert mask.sum() == annotation['area'] > 0
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        tight = [cols[0], rows[0], cols[-1] - cols[0] + 1, rows[-1] - rows[0] + 1]
        assert annotation['bbox'] == pytest.approx(tight)
        form = annotation['segmentation']
        if isinstance(form, list):
            assert all(len(part) >= 6 and len(part) % 2 == 0 for part in form)
            forms.add('parts' if len(form) > 1 else 'polygon')
        else:
            forms.add('crowd' if annotation['iscrowd'] else type(form['counts']).__name__)
            assert not annotation['iscrowd'] or isinstance(form['counts'], list)
        np.testing.assert_array_equal(decode(form, mask.shape), mask)
    assert forms == {'polygon', 'parts', 'list', 'str', 'crowd'}


def test_it_is_a_task(coco):
    counts = [len(coco.getAnnIds(imgIds=[i], iscrowd=False)) for i in coco.imgs]
    assert min(counts) == 0 and 3 <= max(counts) <= DEFAULT.max_objects
    assert any(not coco.getAnnIds(imgIds=[i]) for i in coco.imgs)  # nothing at all
    single = [a for a in coco.anns.values() if not a['iscrowd']]
    assert {a['category_id'] for a in single} == {1, 2, 3, 4}
    areas = np.array([a['area'] for a in single])
    assert areas.min() < 300 and areas.max() > SIZE * SIZE / 5
    assert (areas < 32**2).sum() > 20 and (areas > 32**2).sum() > 20


def test_large_objects_where_the_image_has_room():
    level_sizes = [i.mask.sum() for k in range(40) for i in draw(np.random.default_rng(k), 256)[1]]
    assert max(level_sizes) > 96**2 and min(level_sizes) < 32**2


def test_nearer_shapes_hide_farther_ones():
    overlapping = 0
    for k in range(30):
        _, instances = draw(np.random.default_rng(k), 96)
        if instances:
            assert np.sum([i.mask for i in instances], axis=0).max() == 1  # visible parts only
            boxes = [cv2.boundingRect(i.mask.astype(np.uint8)) for i in instances]
            for n, (x, y, w, h) in enumerate(boxes):
                others = [i.mask[y : y + h, x : x + w].sum() for i in instances[n + 1 :]]
                overlapping += any(count > 0.2 * w * h for count in others)
    assert overlapping > 5


def guessed_by_colour(level):
    """Part of the objects whose mean colour is nearest to the palette's colour of their class."""
    right = []
    for k in range(80):
        image, instances = draw(np.random.default_rng(k), 64, level)
        for instance in instances:
            colour = image[instance.mask].mean(axis=0)[::-1]
            right.append(np.linalg.norm(np.array(PALETTE) - colour, axis=1).argmin() == instance.label)
    return np.mean(right)


def test_colour_is_a_hint_and_in_hard_images_none():
    assert 0.7 < guessed_by_colour(DEFAULT) < 0.98
    assert 0.15 < guessed_by_colour(HARD) < 0.35  # one in four is chance


def test_hard_is_harder():
    def describe(level):
        instances = [i for k in range(40) for i in draw(np.random.default_rng(k), 128, level)[1]]
        return len(instances), np.median([i.mask.sum() for i in instances])

    number, area = describe(DEFAULT)
    hard_number, hard_area = describe(HARD)
    assert hard_number > 1.3 * number and hard_area < 0.7 * area


def test_a_hole_is_kept():
    mask = np.zeros((40, 50), bool)
    mask[5:35, 5:45] = True
    mask[15:25, 15:25] = False
    for k in range(20):
        form = segmentation(np.random.default_rng(k), Instance(0, mask))
        np.testing.assert_array_equal(decode(form, mask.shape), mask)


@pytest.mark.parametrize('first', [0, 1])
def test_rle_from_corner_to_corner(first):
    mask = np.full((6, 5), first, bool)
    mask[2:4, 1:3] = not first
    form = segmentation(np.random.default_rng(0), Instance(1, mask, crowd=True))
    assert form['size'] == [6, 5] and sum(form['counts']) == 30
    np.testing.assert_array_equal(decode(form, mask.shape), mask)


def test_second_run_and_force(tmp_path, capsys):
    out = tmp_path / 'shapes'
    assert run_tool(out, '--train', 2, '--val', 1, '--size', 48) == 0
    before = contents(out)
    assert run_tool(out, '--train', 2, '--val', 1, '--size', 48) == 0
    assert 'already there' in capsys.readouterr().out
    assert run_tool(out, '--train', 3, '--val', 1, '--size', 48) == 2
    assert '--force' in capsys.readouterr().err
    assert contents(out) == before
    assert run_tool(out, '--train', 3, '--val', 0, '--size', 48, '--force') == 0
    assert len(list((out / 'train2017').iterdir())) == 3
    assert json.loads((out / 'annotations' / 'instances_val2017.json').read_text())['images'] == []
    (out / 'train2017' / '000000000002.jpg').unlink()
    assert run_tool(out, '--train', 3, '--val', 0, '--size', 48) == 2
    assert 'lacks' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['shapes']


@pytest.mark.parametrize(
    'options, named',
    [
        (['--train', -1], '--train'),
        (['--train', 0, '--val', 0], '--val'),
        (['--size', 31], '--size'),
        (['--seed', -3], '--seed'),
    ],
)
def test_numbers_out_of_range(tmp_path, capsys, options, named):
    assert run_tool(tmp_path / 'out', *options) == 2
    error = capsys.readouterr().err
    assert named in error and error.count('\n') == 1
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / 'file').write_text('mine')
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'thesis.txt').write_text('mine')
    before = contents(tmp_path)
    for out in ('file', 'file/below', 'full'):
        for force in ([], ['--force']):  # --force is for folders of shapes, never for anything else
            assert run_tool(tmp_path / out, '--train', 1, '--val', 0, *force) == 2
            error = capsys.readouterr().err
            assert str(tmp_path / out) in error and error.count('\n') == 1
    assert contents(tmp_path) == before


def test_nothing_is_left_after_a_failure(tmp_path, monkeypatch):
    out = tmp_path / 'shapes'
    make_shapes(out, 1, 0, 48)
    before = contents(tmp_path)

    def broken(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(shapes_coco, 'segmentation', broken)
    with pytest.raises(KeyboardInterrupt):
        make_shapes(out, 20, 0, 48, force=True)
    with pytest.raises(KeyboardInterrupt):
        make_shapes(tmp_path / 'new', 20, 0, 48)
    assert contents(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ['shapes']
