"""tools/check_dataset.py: each defect is found, counted and named; nothing else is; nothing is written elsewhere."""

import csv
import functools
import json
import os
import shutil

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api
from tiny_run import TRAIN_ANN, VAL_ANN, change_json, run_tool, write_config

from mmcentermask.datasets import CLASSES
from mmcentermask.datasets.annotation_tables import CocoSplit
from mmcentermask.datasets.inspection import inspect_dataset
from mmcentermask.datasets.masks import rle_problem
from mmcentermask.datasets.report import summarize, tables_of
from mmcentermask.datasets.rules import RULES
from mmcentermask.datasets.values import printable, shown
from mmcentermask.errors import AnnotationError, MissingFileError
from mmcentermask.structures.rle import counts_of
from mmcentermask.visualization.worst_images import draw_worst

TRAIN_JSON = 'data/' + TRAIN_ANN


def square(x, y, side):
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def whole():
    """A file of four images 60 wide and 40 high with two squares each; nothing is wrong with it."""
    images = [dict(id=10 + i, file_name=f'{i}.png', height=40, width=60) for i in range(4)]
    annotations = []
    for i, image in enumerate(images):
        for k in range(2):
            x, y = 4 + 20 * k, 5
            annotations.append(
                dict(
                    id=2 * i + k + 1,
                    image_id=image['id'],
                    category_id=(2 * i + k) % 4 + 1,
                    iscrowd=0,
                    area=100.0,
                    bbox=[x, y, 10, 10],
                    segmentation=[square(x, y, 10)],
                )
            )
    categories = [dict(id=i + 1, name=name) for i, name in enumerate(CLASSES)]
    return dict(images=images, annotations=annotations, categories=categories)


@pytest.fixture
def data(tmp_path):
    """The file and its images, as a folder, for training and for validation."""
    for split, ann in (('train2017', TRAIN_ANN), ('val2017', VAL_ANN)):
        (tmp_path / 'data' / split).mkdir(parents=True)
        (tmp_path / 'data/annotations').mkdir(exist_ok=True)
        (tmp_path / 'data' / ann).write_text(json.dumps(whole()))
        for i in range(4):
            picture = np.full((40, 60, 3), 50 * i, np.uint8)
            cv2.imwrite(str(tmp_path / f'data/{split}/{i}.png'), picture)
    return tmp_path / 'data'


# trained on and scored, with masks
USE = dict(classes=CLASSES, num_classes=4, scored=True, masks_scored=True, tolerant=False)


def inspected(data, dear=True, decode=True, workers=1, **use):
    split = CocoSplit('train', str(data / TRAIN_ANN), str(data / 'train2017'), **{**USE, **use})
    return inspect_dataset(split, dear, decode, workers)


def kinds(inspection):
    return {name: len(those) for name, those in inspection.found.items()}


def found(inspection):
    """The only finding, with the name of its rule."""
    ((name, (finding,)),) = inspection.found.items()
    return name, finding


def test_nothing_is_wrong(data):
    assert inspected(data).found == {}


def ann(number, **values):
    return lambda c: c['annotations'][number].update(values)


def drop(number, key):
    return lambda c: c['annotations'][number].pop(key)


def img(number, **values):
    return lambda c: c['images'][number].update(values)


RLE = mask_api.encode(np.asfortranarray(np.pad(np.ones((10, 10), np.uint8), ((5, 25), (4, 46)))))
CODE = RLE['counts'].decode()
COUNTS = counts_of(CODE).tolist()
BOW = [4, 5, 14, 15, 14, 5, 4, 15]  # a bow tie: crosses itself in its middle, (9, 10)
TOUCHING = [4, 5, 9, 10, 14, 5, 14, 15, 9, 10, 4, 15]  # two triangles that touch in (9, 10)
NO_ENTRY = {'image-entry': 1, 'many-lost': 1}
DEFECTS = {
    # images
    'height is a word': (img(1, height='forty'), NO_ENTRY),
    'no file name': (lambda c: c['images'][1].pop('file_name'), NO_ENTRY),
    'file name with a zero': (img(1, file_name='a\0.png'), NO_ENTRY),
    'too large to be true': (img(1, height=10**6, width=10**6), NO_ENTRY),
    'image id twice': (img(1, id=10), {'image-id-twice': 1, 'object-no-image': 2, 'many-lost': 1}),
    'other size': (img(1, width=61), {'image-size': 1}),
    'turned': (img(1, height=60, width=40), {'image-size': 1}),
    'file twice': (img(1, file_name='0.png'), {'image-file-twice': 1}),
    'no file': (img(1, file_name='9.png'), {'image-missing': 1}),
    'file name of control characters': (img(1, file_name='\x1b[2J'), {'image-missing': 1}),
    'file of another folder': (img(1, file_name='../val2017/1.png'), {'image-elsewhere': 1}),
    'device': (img(1, file_name='/dev/zero'), {'image-damaged': 1, 'image-elsewhere': 1}),
    'separators of Windows': (img(1, file_name='..\\\\train2017\\\\1.png'), {'image-missing': 1}),
    'half a surrogate': (img(1, file_name='\ud800.png'), {'image-missing': 1}),
    # categories
    'category id twice': (
        lambda c: c['categories'][3].update(id=1),
        {'category-id-twice': 1, 'object-no-category': 2, 'many-lost': 1, 'class-empty': 1},
    ),
    'category name twice': (
        lambda c: c['categories'].append(dict(id=9, name='star')),
        {'category-name-twice': 1, 'class-empty': 1},
    ),
    'category without a name': (
        lambda c: c['categories'][3].pop('name'),
        {'category-entry': 1, 'classes': 1},
    ),
    'category named by a number': (lambda c: c['categories'][3].update(name=7), {'category-entry': 1, 'classes': 1}),
    'category of no class': (lambda c: c['categories'].append(dict(id=9, name='moon')), {'category-left-out': 1}),
    'class not there': (
        lambda c: c['categories'][3].update(name='moon'),
        {'classes': 1, 'category-left-out': 1},
    ),
    'other order': (lambda c: c['categories'].reverse(), {'classes': 1}),
    'class without an example': (
        lambda c: [a.update(category_id=1) for a in c['annotations'] if a['category_id'] == 4],
        {'class-empty': 1},
    ),
    # objects
    'object is a number': (lambda c: c['annotations'].__setitem__(0, 5), {'object-entry': 1}),
    'no area': (drop(0, 'area'), {'object-entry': 1}),
    'no iscrowd': (drop(0, 'iscrowd'), {'object-entry': 1}),
    'iscrowd in quotes': (ann(0, iscrowd='0'), {'object-entry': 1}),
    'ignore in quotes': (ann(0, ignore='0'), {'object-entry': 1}),
    'area in quotes': (ann(0, area='100'), {'object-entry': 1}),
    'area is null': (ann(0, area=None), {'object-entry': 1}),
    'id is half a number': (ann(0, id=1.5), {'object-entry': 1}),
    'ids as whole floats': (lambda c: [a.update(image_id=float(a['image_id'])) for a in c['annotations']], {}),
    'image_id in quotes': (ann(0, image_id='10'), {'id-types': 1, 'object-no-image': 1}),
    'category_id in quotes': (ann(0, category_id='1'), {'id-types': 1, 'object-no-category': 1}),
    'one id in quotes': (ann(0, id='1'), {'id-types': 1}),
    'names in the place of numbers': (
        lambda c: (
            [image.update(id=f'i{image["id"]}') for image in c['images']],
            [a.update(image_id=f'i{a["image_id"]}') for a in c['annotations']],
        ),
        {},
    ),
    'id zero': (ann(0, id=0), {'object-id-zero': 1}),
    'same object twice': (lambda c: c['annotations'].append(dict(c['annotations'][0], id=99)), {'object-twice': 1}),
    'same object in another category': (
        lambda c: c['annotations'].append(dict(c['annotations'][0], id=99, category_id=2)),
        {'object-twice': 1},
    ),
    'category of blanks': (
        lambda c: c['categories'].append(dict(id=9, name=' ')),
        {'category-entry': 1, 'category-left-out': 1},
    ),
    'no categories': (
        lambda c: c.update(categories=[]),
        {'classes': 1, 'nothing-usable': 1, 'object-no-category': 8},
    ),
    'two objects in one box': (
        lambda c: c['annotations'].append(dict(c['annotations'][0], id=99, segmentation=[square(5, 6, 8)])),
        {},
    ),
    'area is zero': (ann(0, area=0), {'object-area': 1}),
    'object id twice': (ann(1, id=1), {'object-id-twice': 1}),
    'no such image': (ann(0, image_id=99), {'object-no-image': 1}),
    'no such category': (ann(0, category_id=99), {'object-no-category': 1}),
    'no box': (drop(0, 'bbox'), {'box-invalid': 1}),
    'box of words': (ann(0, bbox=['4', '5', '10', '10']), {'box-invalid': 1}),
    'box of nothing': (ann(0, bbox=[4, 5, float('nan'), 10]), {'box-invalid': 1}),
    'negative box': (ann(0, bbox=[14, 5, -10, 10]), {'box-invalid': 1}),
    'endless box': (ann(0, bbox=[4, 5, 10**400, 10]), {'box-invalid': 1}),
    'corners in the place of sizes': (ann(1, bbox=[24, 5, 44, 15]), {'box-outside': 1, 'box-mask-differ': 1}),
    'all corners': (
        lambda c: [a.update(bbox=[*a['bbox'][:2], a['bbox'][0] + 10, 15]) for a in c['annotations']],
        {'box-corners': 1, 'box-mask-differ': 8},
    ),
    'box elsewhere': (ann(0, bbox=[40, 25, 10, 10]), {'box-mask-differ': 1}),
    'box half a pixel out': (ann(0, bbox=[-0.5, 5, 14.5, 10]), {}),
    'box two pixels out': (ann(0, bbox=[-2, 5, 16, 10]), {'box-outside': 1}),
    'thin box': (ann(0, bbox=[4, 5, 0.5, 10]), {'box-small': 1}),
    'box of one column': (ann(0, bbox=[4, 5, 1, 10]), {}),
    # masks
    'no mask': (drop(0, 'segmentation'), {'mask-missing': 1}),
    'empty mask': (ann(0, segmentation=[]), {'mask-missing': 1}),
    'mask is a word': (ann(0, segmentation='all'), {'mask-missing': 1}),
    'two points': (ann(0, segmentation=[square(4, 5, 10), [4, 5, 14, 15]]), {'polygon-short': 1}),
    'half a point': (ann(0, segmentation=[square(4, 5, 10)[:-1]]), {'polygon-invalid': 1}),
    'points of words': (ann(0, segmentation=[['4', '5', '14', '5', '14', '15']]), {'polygon-invalid': 1}),
    'points in pairs': (ann(0, segmentation=[[[4, 5], [14, 5], [14, 15], [4, 15]]]), {'polygon-invalid': 1}),
    'uneven points': (ann(0, segmentation=[[[4, 5], 14]]), {'polygon-invalid': 1}),
    'endless point': (ann(0, segmentation=[[4, 5, 1e300, 5, 14, 15]]), {'polygon-invalid': 1}),
    'polygon in the place of polygons': (ann(0, segmentation=square(4, 5, 10)), {'polygon-invalid': 1}),
    'polygon out of the image': (
        ann(0, segmentation=[[4, 5, 14, -5, 14, 15, 4, 15]]),
        {'polygon-outside': 1},
    ),
    'bow tie': (ann(0, segmentation=[BOW]), {'polygon-crossing': 1}),
    'touching triangles': (ann(0, segmentation=[TOUCHING]), {}),
    'line': (ann(0, segmentation=[square(4, 5, 10), [4, 5, 9, 5, 14, 5]]), {'polygon-flat': 1}),
    'the same point': (ann(0, segmentation=[square(4, 5, 10), [4, 5] * 3]), {'polygon-flat': 1}),
    'RLE': (ann(0, segmentation=dict(size=[40, 60], counts=CODE)), {}),
    'RLE as numbers': (ann(0, segmentation=dict(size=[40, 60], counts=COUNTS)), {}),
    'RLE of nothing': (ann(0, segmentation=dict(size=[40, 60], counts=[2400])), {'mask-missing': 1}),
    'RLE turned': (ann(0, segmentation=dict(size=[60, 40], counts=CODE)), {'rle-size': 1}),
    'text of bytes': (ann(0, segmentation=dict(size=[40, 60], counts=f"b'{CODE}'")), {'rle-invalid': 1}),
    'RLE without a size': (ann(0, segmentation=dict(counts=CODE)), {'rle-invalid': 1}),
    'RLE cut': (ann(0, segmentation=dict(size=[40, 60], counts=CODE[:-1])), {'rle-invalid': 1}),
    'RLE with an accent': (ann(0, segmentation=dict(size=[40, 60], counts='é' + CODE)), {'rle-invalid': 1}),
    'runs too long': (ann(0, segmentation=dict(size=[40, 60], counts=[0, 2401])), {'rle-invalid': 1}),
    'runs of less than nothing': (ann(0, segmentation=dict(size=[40, 60], counts=[2500, -100])), {'rle-invalid': 1}),
    'runs of words': (ann(0, segmentation=dict(size=[40, 60], counts=['2400'])), {'rle-invalid': 1}),
    'crowd with RLE': (ann(0, iscrowd=1, segmentation=dict(size=[40, 60], counts=COUNTS)), {}),
    'crowds': (
        lambda c: [a.update(iscrowd=1) for a in c['annotations'][:2]],
        {'crowd-polygon': 2, 'many-lost': 1},
    ),
    'only crowds': (
        lambda c: [a.update(iscrowd=1) for a in c['annotations']],
        {'crowd-polygon': 8, 'nothing-usable': 1, 'class-empty': 4},
    ),
    'crowd with polygons': (ann(0, iscrowd=1), {'crowd-polygon': 1}),
}  # fmt: skip


@pytest.mark.parametrize('case', DEFECTS)
def test_a_defect_is_found_and_nothing_else(case, data):
    change, wanted = DEFECTS[case]
    change_json(data / TRAIN_ANN, change)
    inspection = inspected(data)
    assert kinds(inspection) == wanted
    told = summarize(inspection)
    assert all(character == '\n' or character.isprintable() for character in told)
    errors = sum(count for kind, count in wanted.items() if inspection.is_error(kind))
    assert told.splitlines()[-1] == f'train: {errors} errors, {sum(wanted.values()) - errors} warnings'
    draw_worst([inspection])


def test_every_kind_is_tried():
    tried = {kind for _, wanted in DEFECTS.values() for kind in wanted}
    # of these there are tests with other images below
    below = {'image-turned', 'image-depth', 'image-alpha', 'number-as-text'}
    panoptic = {'thing-or-stuff', 'png-differs', 'png-missing'}  # in test_panoptic_data.py
    assert set(RULES) == tried | below | panoptic


@pytest.mark.parametrize(
    'spoil',
    [
        lambda path: path.write_bytes(b''),
        lambda path: path.write_bytes(path.read_bytes()[:60]),
        lambda path: path.write_bytes(path.read_bytes()[:45] + b'\xff' * 20 + path.read_bytes()[65:]),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), os.mkfifo(path)),
    ],
    ids=['empty', 'cut', 'middle', 'folder', 'pipe'],
)
def test_damaged_images_are_found(spoil, data):
    spoil(data / 'train2017/2.png')
    name, finding = found(inspected(data, workers=3))
    assert name == 'image-damaged' and finding.image == 2


def test_quick_decodes_only_what_is_in_doubt(data):
    (data / 'train2017/2.png').write_bytes((data / 'train2017/2.png').read_bytes()[:60])
    path = data / 'train2017/3.png'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:3000] + b'\xff' * 20 + path.read_bytes()[3020:])
    change_json(data / TRAIN_ANN, img(1, width=61))
    assert kinds(inspected(data)) == {'image-damaged': 2, 'image-size': 1}
    assert kinds(inspected(data, decode=False)) == {'image-damaged': 1, 'image-size': 1}


def with_orientation(path, value, size=(40, 60)):
    """Write a JPEG of a camera that was held in another way."""
    code = cv2.imencode('.jpg', np.zeros((*size, 3), np.uint8))[1].tobytes()
    exif = b'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0' + bytes([value]) + b'\0\0\0\0\0\0\0'
    path.write_bytes(code[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + code[2:])


@pytest.mark.parametrize('dear', [True, False])
def test_images_are_measured_as_the_pipeline_decodes_them(data, dear):
    with_orientation(data / 'train2017/0.png', 6)
    name, finding = found(inspected(data, dear))
    assert name == 'image-size' and 'turned by its EXIF orientation' in finding.detail
    assert inspected(data, dear, color_type='color_ignore_orientation').found == {}
    with_orientation(data / 'train2017/0.png', 6, (60, 40))  # annotated upright
    assert inspected(data, dear).found == {}
    with_orientation(data / 'train2017/0.png', 3)  # upside down, which no size tells
    assert found(inspected(data, dear))[0] == 'image-turned'
    assert inspected(data, dear, color_type='color_ignore_orientation').found == {}


@pytest.mark.parametrize('dear', [True, False])
@pytest.mark.parametrize(
    ('suffix', 'image', 'says'),
    [
        ('.png', np.full((40, 60, 3), 4000, np.uint16), 'values up to 4000'),
        ('.png', np.full((40, 60, 3), 255, np.uint16), 'values up to 255'),
        ('.tiff', np.full((40, 60), 4000, np.uint16), '16 bits'),
        ('.tiff', np.full((40, 60, 3), 200, np.float32), 'float32'),
        ('.tiff', np.full((40, 60), 0.5, np.float32), 'float32'),
        ('.png', np.full((40, 60, 3), 60000, np.uint16), None),
        ('.png', np.full((40, 60), 200, np.uint8), None),
        ('.tiff', np.full((40, 60, 3), 200, np.uint8), None),
    ],
    ids=['12 bits', '8 of 16 bits', 'gray TIFF', 'float', 'float of 1', 'all 16 bits', 'gray', 'TIFF'],
)
def test_depths_that_would_be_read_wrong(data, dear, suffix, image, says):
    cv2.imwrite(str(data / f'train2017/9{suffix}'), image)
    change_json(data / TRAIN_ANN, img(1, file_name=f'9{suffix}'))
    inspection = inspected(data, dear)
    if says is None:
        assert inspection.found == {}
    else:
        name, finding = found(inspection)
        assert name == 'image-depth' and says in finding.detail and inspection.is_error(name)


@pytest.mark.parametrize('dear', [True, False])
@pytest.mark.parametrize('suffix', ['.png', '.tiff'])
def test_a_fourth_channel_is_named(data, dear, suffix):
    """It may be transparency, of which the color below shows, or another band."""
    cv2.imwrite(str(data / f'train2017/9{suffix}'), np.full((40, 60, 4), 200, np.uint8))
    change_json(data / TRAIN_ANN, img(1, file_name=f'9{suffix}'))
    inspection = inspected(data, dear)
    assert found(inspection)[0] == 'image-alpha' and inspection.count(errors=True) == 0


def test_a_name_twice_that_is_no_class(data):
    change_json(data / TRAIN_ANN, lambda c: c['categories'].extend(dict(id=i, name='moon') for i in (8, 9)))
    assert kinds(inspected(data)) == {'category-left-out': 2}


def test_training_alone_takes_what_scoring_does_not(data):
    """Training leaves out an object without a mask and needs no iscrowd; COCOeval fails on both."""
    change_json(data / TRAIN_ANN, lambda c: (drop(0, 'iscrowd')(c), ann(1, segmentation=None)(c)))
    assert inspected(data).count(errors=True) == 2
    inspection = inspected(data, scored=False, masks_scored=False)
    assert kinds(inspection) == {'mask-missing': 1} and inspection.count(errors=True) == 0
    assert inspected(data, scored=False, masks_scored=False, masks=False).found == {}, 'boxes are all it wants'
    change_json(data / TRAIN_ANN, lambda c: c.pop('annotations'))
    assert inspected(data, trained=False, scored=False).found == {}


def test_the_point_where_a_polygon_crosses_itself_is_named(data):
    change_json(data / TRAIN_ANN, ann(0, segmentation=[BOW]))
    _, finding = found(inspected(data))
    assert (finding.detail, finding.image, finding.annotation) == ('at [9.0, 10.0]', 0, 0)
    assert inspected(data, dear=False).found == {}


def test_values_are_shown_as_they_stand_in_the_file(data):
    change_json(data / TRAIN_ANN, lambda c: (ann(0, iscrowd='0', area=None)(c), drop(0, 'category_id')(c)))
    (finding,) = inspected(data).found['object-entry']
    assert finding.detail == 'no category_id, area is null, iscrowd is "0"'


def boxes_only(content):
    for i, annotation in enumerate(content['annotations']):
        x, y = 30 + i, 20 + i
        annotation.update(segmentation=None, bbox=[x, y, x + 10, y + 10])


def test_corners_are_seen_without_masks(data):
    change_json(data / TRAIN_ANN, boxes_only)
    assert kinds(inspected(data, masks=False)) == {'box-corners': 1, 'box-outside': 8}


def test_one_box_out_of_the_image_is_no_sign_of_corners(data):
    """Of a crowd without a mask, beside objects whose masks agree with their boxes."""
    change_json(data / TRAIN_ANN, ann(0, iscrowd=1, bbox=[30, 20, 40, 30], segmentation=None))
    assert 'box-corners' not in kinds(inspected(data, scored=False, masks_scored=False))
    change_json(data / TRAIN_ANN, lambda c: c.update(annotations=c['annotations'][:1]))
    assert 'box-corners' not in kinds(inspected(data, masks=False))


def test_few_are_lost_for_several_reasons(data):
    def change(content):
        ann(0, area=0)(content)
        ann(1, bbox=[24, 5, 0.5, 10])(content)
        ann(2, bbox=[60, 5, 10, 10])(content)
        ann(3, segmentation=[[4, 5, 14, 15]])(content)

    change_json(data / TRAIN_ANN, change)
    (finding,) = inspected(data).found['many-lost']
    assert finding.detail == (
        'of 8 objects 1 have no mask, 1 have an area of zero, 1 have a box outside of the image, '
        '1 have a box of less than a pixel'
    )
    (finding,) = inspected(data, min_size=41).found['nothing-usable']
    assert 'images of less than 41 pixels' in finding.detail


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_rles_are_decoded_as_they_were_encoded(runs):
    """The code written out by hand here, the other way round."""
    code = ''
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            code += chr(48 + bits + 32 * more)
    assert counts_of(code).tolist() == runs


@given(st.integers(1, 9), st.integers(1, 9), st.data())
@settings(max_examples=60, deadline=None)
def test_what_pycocotools_encodes_is_right(height, width, drawn):
    bits = drawn.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    rle = mask_api.encode(np.asfortranarray(np.array(bits, np.uint8).reshape(height, width)))
    form = dict(size=list(rle['size']), counts=rle['counts'].decode())
    assert rle_problem(form, height, width) is None
    assert counts_of(form['counts']).sum() == height * width


@given(st.text(max_size=30) | st.text('012345OPQRSTnop`abc', max_size=30))
@settings(max_examples=100, deadline=None)
def test_no_code_breaks_the_decoder(code):
    runs = counts_of(code)
    assert runs is None or runs.dtype == np.int64


def test_runs_whose_sum_is_right_in_64_bits_only():
    """Thousands of long runs: their sum wraps around to the 16 pixels of the image."""
    most, number = 2**39 - 1, 11800
    differences, weights = [most] * number, [1] + [(number - 1 - k) // 2 + 1 for k in range(1, number)]
    excess = sum(most * weight for weight in weights) - 2**64 - 16
    for k in range(1, number):
        less = min(most, excess // weights[k])
        differences[k] -= less
        excess -= less * weights[k]
    code = ''.join(chr(48 + (d >> 5 * i & 31) + 32 * (i < 7)) for d in differences for i in range(8))
    runs = counts_of(code)
    assert excess == 0 and (runs >= 0).all() and runs.sum() == 16
    assert rle_problem(dict(size=[4, 4], counts=code), 4, 4)[0] == 'rle-invalid'


def test_ids_that_json_cannot_say_are_text(data):
    deep = functools.reduce(lambda inside, _: [inside], range(800), 1)
    change_json(data / TRAIN_ANN, lambda c: (img(0, id=deep)(c), img(1, id=float('nan'))(c), ann(7, id=[1])(c)))
    inspection = inspected(data)
    files = tables_of([inspection])
    rows = json.loads(files['findings.json'], parse_constant=lambda constant: pytest.fail(constant))['findings']
    assert {str(row['image_id'])[-5:] for row in rows if row['kind'] == 'image-entry'} == {']]]]]', 'nan'}
    assert [row['annotation_id'] for row in rows if row['kind'] == 'object-entry'] == ['[1]']


@pytest.mark.parametrize('instead', [None, 5, {'a': 1}])
def test_annotations_that_need_not_be_there_must_still_be_a_list(data, instead):
    change_json(data / TRAIN_ANN, lambda c: c.update(annotations=instead))
    with pytest.raises(AnnotationError, match="has no list 'annotations'"):
        inspected(data, trained=False, scored=False)


def test_a_file_name_that_is_too_long():
    with pytest.raises(MissingFileError, match='there is no annotation file'):
        inspect_dataset(CocoSplit('train', 'x' * 300, '.'))


def bench(data):
    """A config in the folder that holds the data."""
    return write_config(data.parent / 'tiny.py', data)


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*'))


def test_the_command_with_nothing_wrong(data, monkeypatch, capsys):
    monkeypatch.chdir(data.parent)
    config, before = bench(data), listing(data.parent)
    assert run_tool('tools/check_dataset.py', config) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if 'errors' in line] == [
        'train: 0 errors, 0 warnings',
        'val, test: 0 errors, 0 warnings',
    ]
    assert listing(data.parent) == before
    assert run_tool('tools/check_dataset.py', config, '--out', 'found') == 0
    assert listing(data.parent / 'found') == [
        'findings.csv', 'findings.json', 'overview-train.png', 'overview-val-test.png',
    ]  # fmt: skip


def test_the_command_with_errors(data, monkeypatch, capsys):
    monkeypatch.chdir(data.parent)
    change_json(data / TRAIN_ANN, ann(0, segmentation=[BOW]))
    config = bench(data)
    assert run_tool('tools/check_dataset.py', config) == 0, 'a warning is no error'
    change_json(data / TRAIN_ANN, lambda c: (ann(3, bbox=[50, 30, 20, 20])(c), ann(5, area='much')(c)))
    assert run_tool('tools/check_dataset.py', config, '--out', 'found', '--workers', 2) == 1
    told = capsys.readouterr().out
    assert 'annotations[5] (id 6) in 2.png: area is "much"' in told
    assert 'train: 1 errors, 3 warnings' in told
    assert run_tool('tools/check_dataset.py', config, '--splits', 'val') == 0
    found = json.loads((data.parent / 'found/findings.json').read_text())
    assert found['summary']['train']['kinds'] == {
        'object-entry': 1,
        'box-outside': 1,
        'box-mask-differ': 1,
        'polygon-crossing': 1,
    }
    rows = list(csv.DictReader((data.parent / 'found/findings.csv').open()))
    assert [(row['level'], row['kind'], row['file_name'], row['annotation_id']) for row in rows] == [
        ('error', 'object-entry', '2.png', '6'),
        ('warning', 'box-outside', '1.png', '4'),
        ('warning', 'box-mask-differ', '1.png', '4'),
        ('warning', 'polygon-crossing', '0.png', '1'),
    ]
    assert [{k: str(v) for k, v in r.items() if v is not None} for r in found['findings']] == [
        {k: v for k, v in row.items() if v} for row in rows
    ]
    sheet = cv2.imread(str(data.parent / 'found/worst.png'))
    red = (sheet[..., 2] > 200) & (sheet[..., 1] < 60) & (sheet[..., 0] < 60)
    assert red.sum() > 100, 'the box is not drawn'


@pytest.mark.parametrize(
    ('spoil', 'args', 'words'),
    [
        (lambda data: shutil.rmtree(data), [], ['no data folder']),
        (lambda data: (data / TRAIN_ANN).unlink(), [], ['no annotation file', TRAIN_ANN]),
        (lambda data: (data / TRAIN_ANN).write_text('{"images"'), [], ['not JSON']),
        (lambda data: (data / TRAIN_ANN).write_text('[' * 10**6), [], ['not JSON']),
        (lambda data: (data / TRAIN_ANN).write_text('[]'), [], ["no list 'images'"]),
        (None, ['--workers', '0'], ['--workers is 0']),
        (None, ['--cfg-options', 'train_dataloader.dataset.type=XMLDataset'], []),
        (None, ['--out', 'tiny.py'], ['tiny.py']),
    ],
    ids=['no data', 'no file', 'cut file', 'brackets', 'a list', 'workers', 'other data set', 'out is a file'],
)
def test_what_cannot_be_checked(spoil, args, words, data, monkeypatch, capsys):
    monkeypatch.chdir(data.parent)
    config = bench(data)
    if spoil:
        spoil(data)
    code = run_tool('tools/check_dataset.py', config, *args)
    captured = capsys.readouterr()
    if not words:
        assert code == 0 and 'train: left out' in captured.out
        return
    assert code == 2
    (line,) = [line for line in captured.err.splitlines() if line.startswith('error: ')]
    assert [word for word in words if word not in line] == []


def test_a_config_that_is_not_there(capsys):
    assert run_tool('tools/check_dataset.py', 'nowhere.py') == 2
    assert 'error: there is no config nowhere.py' in capsys.readouterr().err


HOSTILE = [
    '../../evil',
    '/tmp/evil',
    '..',
    'a/../../../b',
    '\x1b[31mred',
    '[bold]b[/bold]',
    '$\\frac{$',
    '=1+1',
    '\ud800',
    'א\u202eb',
]


def test_hostile_names_write_nothing_elsewhere(data, monkeypatch, capsys):
    """As file name, category and id: what is written is the folder of --out, and the terminal gets plain text."""
    (data.parent / 'work').mkdir()
    monkeypatch.chdir(data.parent / 'work')

    def change(content):
        for i, name in enumerate(HOSTILE):
            content['images'].append(dict(id=name, file_name=name, height=40, width=60))
            content['images'].append(dict(id=f'{name}/', file_name=f'{i % 4}.png', height=40, width=60))
            content['categories'].append(dict(id=name, name=name))
            content['annotations'].append(
                dict(content['annotations'][0], id=name, image_id=f'{name}/', category_id=name, bbox=[50, 30, 20, 20])
            )

    change_json(data / TRAIN_ANN, change)
    config = bench(data)
    before = listing(data.parent)
    assert run_tool('tools/check_dataset.py', config, '--out', 'found', '--examples', 99) == 1
    made = set(listing(data.parent)) - set(before)
    files = ('findings.csv', 'findings.json', 'worst.png', 'overview-train.png', 'overview-val-test.png')
    assert made == {'work/found', *(f'work/found/{name}' for name in files)}
    told = capsys.readouterr().out
    assert all(character == '\n' or character.isprintable() for character in told)
    found = json.loads((data.parent / 'work/found/findings.json').read_text())['findings']
    assert {row['annotation_id'] for row in found if row['kind'] == 'box-outside'} == set(HOSTILE)
    assert {row['category'] for row in found if row['kind'] == 'category-left-out'} == set(HOSTILE)
    assert {row['file_name'] for row in found if row['kind'] == 'image-elsewhere'} == set(HOSTILE[:4])
    assert {row['file_name'] for row in found if row['kind'].startswith('image-m')} == set(HOSTILE) - {'..'}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([1, 10, 40, '0.png']),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
KEYS = {
    'images': ['id', 'file_name', 'height', 'width'],
    'annotations': ['id', 'image_id', 'category_id', 'bbox', 'area', 'segmentation', 'iscrowd'],
    'categories': ['id', 'name'],
}


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_the_file(tmp_path_factory, drawn):
    """No value in any place of a file makes the check fail."""
    content = whole()
    for _ in range(drawn.draw(st.integers(1, 4))):
        table = drawn.draw(st.sampled_from(sorted(KEYS)))
        entries = content[table]
        i = drawn.draw(st.integers(0, len(entries) - 1))
        if not isinstance(entries[i], dict) or drawn.draw(st.integers(0, 9)) == 0:
            entries[i] = drawn.draw(JSON)
            continue
        key = drawn.draw(st.sampled_from(KEYS[table]))
        value = drawn.draw(JSON)
        if key == 'segmentation' and drawn.draw(st.booleans()):
            value = dict(size=drawn.draw(st.just([40, 60]) | JSON), counts=drawn.draw(JSON))
        entries[i][key] = value
    folder = tmp_path_factory.getbasetemp() / 'whatever'
    folder.mkdir(exist_ok=True)
    (folder / 'ann.json').write_text(json.dumps(content))
    split = CocoSplit('x', str(folder / 'ann.json'), str(folder), **USE)
    for dear in (True, False):
        inspection = inspect_dataset(split, dear)
        assert kinds(inspection).get('image-missing', 0) <= 4
    summarize(inspection)


def test_printable():
    assert printable('a\nb\x1b') == 'a\\nb\\x1b'
    assert printable('x' * 100, 10) == '...' + 'x' * 7
    assert printable(['\x1b']) == "['\\x1b']"


def test_shown():
    assert shown('0') == '"0"' and shown(None) == 'null' and shown([True, 1.5]) == '[true, 1.5]'
    assert shown('x' * 100, 10) == '"xxxxxx...'
