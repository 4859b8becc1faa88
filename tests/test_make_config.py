"""tools/make_config.py: the config that it writes finds the data, from any folder."""

import json
import shutil
from pathlib import Path

import pytest
from mmdet.datasets import get_loading_pipeline
from mmdet.registry import DATASETS
from mmengine.config import Config
from tiny_run import TRAIN_ANN, VAL_ANN, change_json, make_data, run_tool

import mmcentermask
from mmcentermask.apis import check_data_for_training, load_config

pytestmark = pytest.mark.skipif(
    not (Path(mmcentermask.__file__).parent / '.mim/model-index.yml').is_file(),
    reason='the package is not installed, so that mmengine does not find its configs',
)


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp('drawn') / 'data')


@pytest.fixture
def data(drawn, tmp_path, monkeypatch):
    """A copy of the drawn data, in the current folder."""
    shutil.copytree(drawn, tmp_path / 'data')
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'data'


def lengths(config):
    cfg = load_config(config)
    check_data_for_training(cfg)
    return [len(DATASETS.build(cfg[f'{split}_dataloader'].dataset)) for split in ('train', 'val')], cfg


def test_a_folder_with_both_sets(data, monkeypatch, capsys):
    assert run_tool('tools/make_config.py', 'data', '--out', 'own.py') == 0
    assert 'validates on' in capsys.readouterr().out
    (data.parent / 'elsewhere').mkdir()
    monkeypatch.chdir(data.parent / 'elsewhere')
    (train, val), cfg = lengths('../own.py')
    objects = json.loads((data / TRAIN_ANN).read_text())['annotations']
    # images without objects are left out of training
    assert (train, val) == (len({o['image_id'] for o in objects if not o['iscrowd']}), 2)
    assert cfg.model.num_classes == 4
    assert cfg.train_dataloader.dataset.metainfo.classes == ('ellipse', 'rectangle', 'triangle', 'star')
    assert cfg.train_cfg.max_iters == 2000 and cfg.param_scheduler[0].end == 200


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_files_in_the_encodings_that_training_reads(data, encoding):
    for name in (TRAIN_ANN, VAL_ANN):
        (data / name).write_text((data / name).read_text(), encoding=encoding)
    assert run_tool('tools/make_config.py', 'data', '--out', 'own.py') == 0
    (_, val), _ = lengths('own.py')
    assert val == 2


def test_a_config_that_is_there_is_kept(data, capsys):
    Path('own.py').write_text('mine')
    assert run_tool('tools/make_config.py', 'data', '--out', 'own.py') == 1
    assert 'own.py is there already' in capsys.readouterr().err and Path('own.py').read_text() == 'mine'


def test_one_file_is_split_and_that_is_told(data, capsys):
    assert run_tool('tools/make_config.py', f'data/{TRAIN_ANN}', '--out', 'own.py') == 0
    out = capsys.readouterr().out
    assert 'has no validation set: 1 of its images' in out and '5 are trained on' in out
    ids = [{i['id'] for i in json.loads(Path(f'own_{s}.json').read_text())['images']} for s in ('train', 'val')]
    assert [len(part) for part in ids] == [5, 1] and not ids[0] & ids[1]
    (_, val), _ = lengths('own.py')
    assert val == 1


def test_another_base(data):
    base = 'centermask_v99-ese_fpn_ms-3x_coco'
    assert run_tool('tools/make_config.py', 'data', '--base', base, '--out', 'own.py') == 0
    cfg = Config.fromfile('own.py')
    assert cfg.model.backbone.arch == 'V-99' and cfg.auto_scale_lr == dict(enable=True, base_batch_size=16)


def test_a_category_without_objects_is_left_out_and_that_is_told(data, capsys):
    for name in (TRAIN_ANN, VAL_ANN):
        change_json(data / name, lambda c: c['categories'].insert(0, dict(id=99, name='root', supercategory='none')))
    assert run_tool('tools/make_config.py', 'data', '--out', 'own.py') == 0
    assert 'nothing is annotated with them: root' in capsys.readouterr().out
    assert load_config('own.py').model.num_classes == 4


@pytest.mark.parametrize(
    'name, content, told',
    [
        ('a.json', json.dumps(dict(shapes=[], imagePath='a.jpg')), 'labelme2coco.py'),
        ('a.json', json.dumps([dict(data={}, annotations=[])]), 'export as "COCO"'),
        ('a.xml', '<?xml version="1.0"?>\n<annotations></annotations>', '"COCO 1.0"'),
        ('a.json', '{', 'is not JSON'),
        ('a.json', json.dumps(dict(images=[{}], annotations=[], categories=[])), 'images[0]'),
        ('a.json', json.dumps(dict(images=[], annotations=[], categories=[])), 'names no image'),
        ('a.txt', '', 'no annotation file'),
    ],
)
def test_other_formats_are_refused_with_the_way_to_coco(name, content, told, tmp_path, capsys):
    (tmp_path / 'export').mkdir()
    (tmp_path / 'export' / name).write_text(content)
    assert run_tool('tools/make_config.py', tmp_path / 'export', '--out', tmp_path / 'own.py') == 1
    assert told in capsys.readouterr().err and not (tmp_path / 'own.py').exists()


def test_mmdets_tools_find_our_loaders():
    pipeline = Config.fromfile(
        Path(mmcentermask.__file__).parent / '.mim/configs/_base_/datasets/coco.py'
    ).train_pipeline
    names = [transform.type for transform in get_loading_pipeline(pipeline)]
    assert names == ['LoadTrainingImage', 'LoadInstanceAnnotations']
