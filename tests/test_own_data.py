"""docs/own_data.md: exports as labelling tools write them become configs that find every object."""

import json
import re
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from documentation import ROOT, blocks
from mmdet.registry import DATASETS
from tiny_run import run_tool

import mmcentermask
from mmcentermask.apis import check_data_for_training, load_config

pytestmark = pytest.mark.skipif(
    not (Path(mmcentermask.__file__).parent / '.mim/model-index.yml').is_file(),
    reason='the package is not installed, so that mmengine does not find its configs',
)

# in an image of 200 x 100: a rectangle of x 20 to 100 and y 10 to 60, and a triangle
CAT = [[20.0, 10.0], [100.0, 10.0], [100.0, 60.0], [20.0, 60.0]]
DOG = [[120.0, 20.0], [180.0, 20.0], [150.0, 80.0]]
BOXES = dict(cat=[20, 10, 80, 50], dog=[120, 20, 60, 60])


def write_images(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.random.default_rng(0).integers(0, 256, (100, 200, 3), dtype=np.uint8))


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def coco(names, first=1, **extra):
    """Annotations of both objects on the first image, as exporters write them, ids from ``first`` on."""
    flat = {'cat': np.ravel(CAT).tolist(), 'dog': np.ravel(DOG).tolist()}
    return dict(
        images=[dict(id=first + i, file_name=name, width=200, height=100, **extra) for i, name in enumerate(names)],
        categories=[dict(id=first + i, name=name, supercategory='') for i, name in enumerate(BOXES)],
        annotations=[
            dict(id=first + i, image_id=first, category_id=first + i, segmentation=[flat[name]], area=4000.0,
                 bbox=[float(side) for side in BOXES[name]], iscrowd=0)
            for i, name in enumerate(BOXES)
        ],
    )  # fmt: skip


def cvat():
    """COCO 1.0 of a task; attributes of objects and of the file are CVAT's."""
    content = coco(['a.jpg', 'b.jpg'], license=0, flickr_url='', coco_url='', date_captured=0)
    for annotation in content['annotations']:
        annotation['attributes'] = dict(occluded=False)
    write_json(Path('export/annotations/instances_default.json'), dict(licenses=[], info={}, **content))
    write_images(Path('export/images'), 'a.jpg', 'b.jpg')


def label_studio():
    """Ids count from 0, names of files begin with the folder."""
    content = coco(['images/a.jpg', 'images/b.jpg'], first=0)
    for annotation in content['annotations']:
        annotation['ignore'] = 0
    write_json(Path('export/result.json'), dict(content, info=dict(contributor='Label Studio')))
    write_images(Path('export/images'), 'a.jpg', 'b.jpg')


def roboflow():
    """A folder a split; the first category has no objects."""
    for split in ('train', 'valid'):
        content = coco(['a.jpg', 'b.jpg'])
        content['categories'].insert(0, dict(id=0, name='pets', supercategory='none'))
        write_json(Path('export', split, '_annotations.coco.json'), content)
        write_images(Path('export', split), 'a.jpg', 'b.jpg')


def labelme():
    for name, shapes in (('a', [('cat', CAT), ('dog', DOG)]), ('b', [])):
        shapes = [
            dict(label=label, points=points, group_id=None, description='', shape_type='polygon', flags={}, mask=None)
            for label, points in shapes
        ]
        content = dict(version='5.5.0', flags={}, shapes=shapes, imagePath=f'{name}.jpg', imageData=None)
        write_json(Path(f'labelme/{name}.json'), dict(content, imageHeight=100, imageWidth=200))
        write_images(Path('labelme'), f'{name}.jpg')
    convert('labelme')


def yolo():
    lines = [
        ' '.join([str(label), *(f'{value:.6f}' for value in (np.array(points) / [200, 100]).ravel())])
        for label, points in enumerate((CAT, DOG))
    ]
    Path('yolo/labels').mkdir(parents=True)
    Path('yolo/labels/a.txt').write_text('\n'.join(lines) + '\n')
    Path('yolo/labels/b.txt').write_text('')
    Path('yolo/data.yaml').write_text('path: .\ntrain: images\nval: images\nnames:\n  0: cat\n  1: dog\n')
    write_images(Path('yolo/images'), 'a.jpg', 'b.jpg')
    convert('yolo')


def convert(name):
    """Run the page's lines for a format, which write to the folder coco."""
    pytest.importorskip('supervision')
    (block,) = [b for b in blocks(ROOT / 'docs/own_data.md') if b.language == 'python' and f'from_{name}' in b.text]
    exec(block.text, {})
    Path('coco').rename('export')


def cvat_xml():
    """CVAT for images 1.1, converted by the page's command; what the brush drew is lost with a warning."""
    pytest.importorskip('hotcoco')
    points = [';'.join(f'{x:.2f},{y:.2f}' for x, y in polygon) for polygon in (CAT, DOG)]
    Path('export').mkdir()
    Path('export/annotations.xml').write_text(f"""<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>1</id><name>pets</name><size>2</size><labels>
<label><name>cat</name><type>any</type><attributes></attributes></label>
<label><name>dog</name><type>any</type><attributes></attributes></label></labels></task></meta>
<image id="0" name="a.jpg" width="200" height="100">
<polygon label="cat" source="manual" occluded="0" points="{points[0]}" z_order="0"></polygon>
<polygon label="dog" source="manual" occluded="0" points="{points[1]}" z_order="0"></polygon>
<mask label="dog" source="manual" occluded="0" rle="2, 3, 5" left="120" top="20" width="5" height="2" z_order="0">
</mask></image><image id="1" name="b.jpg" width="200" height="100"></image></annotations>
""")
    write_images(Path('export'), 'a.jpg', 'b.jpg')
    from hotcoco import cli

    command = re.search(r'^coco (convert .*)$', (ROOT / 'docs/own_data.md').read_text(), re.M)[1]
    with warnings.catch_warnings(record=True) as told, pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter('always')
        patch.setattr(sys, 'argv', ['coco', *command.split()])
        cli.main()
    assert any('unsupported shape' in str(warning.message) for warning in told)
    Path('export/annotations.xml').unlink()


@pytest.mark.parametrize('write', [cvat, cvat_xml, label_studio, roboflow, labelme, yolo], ids=lambda f: f.__name__)
def test_an_export_becomes_a_config_that_finds_every_object(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write()
    # one image of two, held out, might be the empty one
    val = [] if Path('export/valid').is_dir() else ['--val', 'export']
    assert run_tool('tools/make_config.py', 'export', *val, '--out', 'own.py') == 0
    cfg = load_config('own.py')
    check_data_for_training(cfg)
    assert cfg.train_dataloader.dataset.metainfo.classes == ('cat', 'dog')
    loaded = {}
    for split in ('train', 'val'):
        dataset = DATASETS.build(dict(cfg[f'{split}_dataloader'].dataset, test_mode=True))  # keeps empty images
        dataset.full_init()
        for entry in map(dataset.get_data_info, range(len(dataset))):
            loaded[Path(entry['img_path']).name] = entry['instances']
    assert set(loaded) == {'a.jpg', 'b.jpg'} and loaded['b.jpg'] == []
    boxes = {cfg.train_dataloader.dataset.metainfo.classes[one['bbox_label']]: one['bbox'] for one in loaded['a.jpg']}
    for name, (x, y, w, h) in BOXES.items():
        assert boxes[name] == pytest.approx([x, y, x + w, y + h], abs=1)  # YOLO's and labelme's are drawn along pixels
    assert all(one['mask'] for one in loaded['a.jpg'])
