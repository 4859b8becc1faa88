"""Fuzzing targets: the data set checker with any annotations and images, and the shapes maker."""

import contextlib
import csv
import functools
import io
import json
import shutil

import cv2
import numpy as np
from fuzzing import Target, byte_changes, mutated, names, numbers, short_text
from hypothesis import strategies as st
from pycocotools.coco import COCO

from mmcentermask.apis import InputError, write_files
from mmcentermask.datasets import CLASSES
from mmcentermask.datasets.annotation_tables import CocoSplit
from mmcentermask.datasets.image_files import look_at_images
from mmcentermask.datasets.inspection import inspect_dataset
from mmcentermask.datasets.report import sentence, summarize, tables_of
from mmcentermask.datasets.shapes_coco import make_shapes
from mmcentermask.visualization.dataset_overview import draw_overview
from mmcentermask.visualization.worst_images import draw_worst

HEIGHT, WIDTH = 40, 60
OUTPUTS = {'findings.json', 'findings.csv', 'worst.png', 'overview-train.png'}


def whole():
    """Two images, three objects, two categories; nothing is wrong."""
    boxes = [(0, 4, 5), (0, 30, 10), (1, 8, 8)]
    forms = [
        [[4, 5, 14, 5, 14, 15, 4, 15]],
        dict(size=[HEIGHT, WIDTH], counts=[1210, *[10, 30] * 9, 10, 820]),
        dict(size=[HEIGHT, WIDTH], counts='X::n000000000000000000R>'),
    ]
    objects = [
        dict(
            id=i + 1, image_id=of, category_id=i % 2 + 1, iscrowd=0, area=100.0, bbox=[x, y, 10, 10], segmentation=form
        )
        for i, ((of, x, y), form) in enumerate(zip(boxes, forms))
    ]
    return dict(
        images=[dict(id=i, file_name=f'{i}.png', height=HEIGHT, width=WIDTH) for i in range(2)],
        annotations=objects,
        categories=[dict(id=i + 1, name=name) for i, name in enumerate('ab')],
    )


plain = st.none() | numbers | names | short_text
deep = st.sampled_from([30, 300, 600]).map(lambda depth: functools.reduce(lambda inside, _: [inside], range(depth), 1))
points = st.lists(st.integers(-5, 65) | numbers, max_size=12)
code = st.text(''.join(map(chr, range(46, 114))), max_size=20)
forms = st.one_of(
    st.lists(points, max_size=3),
    st.fixed_dictionaries(
        dict(
            size=st.just([HEIGHT, WIDTH]) | st.lists(numbers, max_size=3),
            counts=code | st.lists(st.integers(0, 2400) | numbers, max_size=5) | plain,
        )
    ),
    st.just(dict(size=[HEIGHT, WIDTH], counts=[0, HEIGHT * WIDTH])),
)
junk = st.one_of(
    plain, points, forms, deep, st.lists(plain, max_size=3), st.dictionaries(short_text, plain, max_size=2)
)


def places(value, found, depth=0):
    """List every (container, key) of a JSON value, but for those far down."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], dict | list) and depth < 8:
            places(value[key], found, depth + 1)
    return found


def copied(value):
    return json.loads(json.dumps(value))  # what is drawn is not ours to change


@st.composite
def contents(draw):
    """The content of an annotation file with some of its values spoiled."""
    content = whole()
    for _ in range(draw(st.integers(0, 4))):
        found = places(content, [])
        if not found:
            break
        container, key = found[draw(st.integers(0, len(found) - 1))]
        how = draw(st.sampled_from(['junk', 'junk', 'form', 'drop', 'twice', 'swap']))
        if how == 'junk':
            container[key] = copied(draw(junk))
        elif how == 'form' and content.get('annotations') and isinstance(content['annotations'], list):
            entry = draw(st.sampled_from(content['annotations']))
            if isinstance(entry, dict):
                entry['segmentation'] = copied(draw(forms))
        elif how == 'drop':
            del container[key]
        elif how == 'twice' and isinstance(container, list):
            container.append(copied(container[key]))
        else:
            other, name = found[draw(st.integers(0, len(found) - 1))]
            container[key] = copied(other[name])
    return content


switches = st.tuples(st.booleans(), st.booleans(), st.sampled_from([None, ('a', 'b'), ('b',), ()]))


def fill(folder, content):
    """Write an annotation file and, once, its images, beside the folder that the checker is told to write to."""
    data = folder / 'data'
    if not data.exists():
        (data / 'images').mkdir(parents=True)
        for i in range(2):
            cv2.imwrite(str(data / f'images/{i}.png'), np.full((HEIGHT, WIDTH, 3), 90 * i, np.uint8))
    (data / 'ann.json').write_bytes(content)
    return data


@contextlib.contextmanager
def cleared(folder):
    """Remove what a target made in its own folder."""
    mine = set(folder.iterdir())
    try:
        yield
    finally:
        for path in set(folder.iterdir()) - mine:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def inspected(folder, content, annotated, decode, classes, sheet=False):
    """Check a data set and everything that is said about it."""
    data = fill(folder, content)
    before = sorted(data.rglob('*'))
    try:
        split = CocoSplit(
            'train', str(data / 'ann.json'), str(data / 'images'), classes, len(classes or 'ab'), trained=annotated,
            scored=annotated, masks_scored=annotated, file_order=False,
        )  # fmt: skip
        inspection = inspect_dataset(split, dear=decode, decode=decode)
    except InputError as error:
        assert str(data / 'ann.json') in str(error)
        return
    assert all(sentence(inspection, name).isprintable() for name in inspection.found)
    told = summarize(inspection)
    assert all(c == '\n' or c.isprintable() for c in told)
    told.encode()
    files = tables_of([inspection])
    rows = json.loads(files['findings.json'], parse_constant=no_json)['findings']
    lines = list(csv.DictReader(io.StringIO(files['findings.csv'].decode(), newline='')))
    assert len(lines) == len(rows) == sum(map(len, inspection.found.values()))
    if sheet:
        files['worst.png'] = draw_worst([inspection]) or b''
        files['overview-train.png'] = draw_overview(inspection)
    write_files(folder / 'out', files)
    assert {path.name for path in (folder / 'out').iterdir()} == set(files) <= OUTPUTS
    assert sorted(data.rglob('*')) == before


def no_json(constant):
    raise AssertionError(f'{constant} is no JSON')


def check_content(given_input, folder):
    content, (annotated, decode, classes) = given_input
    for image in content['images'] if isinstance(content.get('images'), list) else ():
        if isinstance(image, dict) and isinstance(image.get('file_name'), str):
            image['file_name'] = image['file_name'].replace('@', str(folder.parent / 'beside'))
    with cleared(folder):
        inspected(folder, json.dumps(content).encode(), annotated, decode, classes)


def check_bytes(given_input, folder):
    changes, (annotated, _, classes) = given_input
    with cleared(folder):
        inspected(folder, mutated(json.dumps(whole()).encode(), changes), annotated, False, classes)


def check_sheet(given_input, folder):
    content, (annotated, decode, classes) = given_input
    with cleared(folder):
        inspected(folder, json.dumps(content).encode(), annotated, decode, classes, sheet=True)


@functools.cache
def pictures():
    picture = np.random.default_rng(0).integers(0, 255, (9, 12, 3)).astype(np.uint8)
    return {
        kind: cv2.imencode(kind, picture)[1].tobytes() for kind in ('.png', '.jpg', '.bmp', '.webp', '.tiff', '.ppm')
    }


def check_image(given_input, folder):
    kind, changes, name, decode = given_input
    with cleared(folder):
        (folder / 'images').mkdir()
        (folder / f'images/0{kind}').write_bytes(mutated(pictures()[kind], changes))
        used = [f'0{kind}', name.replace('@', str(folder.parent / 'beside')).replace('\0', '') or 'x']
        split = CocoSplit('train', '', str(folder / 'images'))
        problems = look_at_images(used, [(9, 12)] * 2, split, decode)
        assert len(problems) == 2
        image = split.read_image(str(folder / f'images/0{kind}'))
        rules = {rule for rule, _ in problems[0]}
        assert image is not None or not decode or rules & {'image-damaged', 'image-depth'}
        assert image is None or 'image-damaged' not in rules


numbers_of_images = st.sampled_from([0, 1, 1, 2, 2, 2, -1])
arguments = st.fixed_dictionaries(
    dict(
        train=numbers_of_images,
        val=numbers_of_images,
        size=st.integers(32, 64) | st.integers(32, 128) | st.integers(-5, 40),
        seed=st.integers(0, 2**70) | st.integers(0, 2**32) | st.integers(-3, 3),
        hard=st.booleans(),
        force=st.booleans(),
    )
)
outs = st.sampled_from(
    ['out', 'a/b/out', 'there', 'data/annotations', 'x' * 300, 'a\0b', 'ü', '\ud800', '.', '../beside']
)


def check_shapes(given_input, folder):
    options, out = given_input
    with cleared(folder):
        (folder / 'there').mkdir()
        (folder / 'there/mine.txt').write_text('mine')
        wrong = (
            min(options['train'], options['val'], options['seed']) < 0
            or options['train'] + options['val'] == 0
            or options['size'] < 32
        )
        try:
            assert make_shapes(folder / out, report=lambda line: None, **options)
        except (ValueError, FileExistsError, OSError) as error:
            if isinstance(error, FileExistsError):
                assert out in ('there', '.', '../beside')
            elif isinstance(error, OSError) or 'image' not in str(error) and 'seed' not in str(error):
                assert out in ('x' * 300, 'a\0b', '\ud800')
            else:
                assert wrong
        else:
            assert not wrong
            check_made(folder / out, options)
        assert (folder / 'there/mine.txt').read_text() == 'mine' and len(list((folder / 'there').iterdir())) == 1
        assert not list(folder.rglob('.*'))  # nothing unfinished


def check_made(out, options):
    assert sorted(path.name for path in out.iterdir()) == ['annotations', 'shapes.json', 'train2017', 'val2017']
    for split in ('train', 'val'):
        file = out / f'annotations/instances_{split}2017.json'
        split_of = CocoSplit(split, str(file), str(out / f'{split}2017'), CLASSES, 4, scored=True, masks_scored=True)
        inspection = inspect_dataset(split_of)
        assert not {name for name in inspection.found if inspection.is_error(name)} - {'nothing-usable'}
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(file))
        assert len(coco.imgs) == options[split] == len(list((out / f'{split}2017').iterdir()))
        assert all(coco.annToMask(annotation).any() for annotation in coco.anns.values())


TARGETS = [
    Target('annotations', st.tuples(contents(), switches), check_content, 60, 800),
    Target('damaged annotations', st.tuples(byte_changes, switches), check_bytes, 20, 2500),
    Target('contact sheets', st.tuples(contents(), switches), check_sheet, 3, 6),
    Target(
        'images',
        st.tuples(st.sampled_from(sorted(pictures())), byte_changes, names, st.booleans()),
        check_image,
        30,
        800,
    ),
    Target('shapes', st.tuples(arguments, st.just('out') | st.just('out') | outs), check_shapes, 15, 600),
]
