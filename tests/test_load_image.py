"""Training names damaged images, each once, and takes others in their place; evaluation does not."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.logging import MMLogger
from tiny_run import ROOT, TRAIN_ANN, VAL_ANN, make_data, run_tool, write_config
from tiny_run import damage as spoil_table
from torch.utils.data import DataLoader

from mmcentermask.datasets import CLASSES, LoadTrainingImage, make_shapes


def damage(path):
    """Zeros in the place of all but the ends: only the decoder finds out."""
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(len(content) - 36) + content[-32:])


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture
def log(tmp_path):
    """What was logged so far, by all processes."""
    file = tmp_path / 'run.log'
    MMLogger.get_instance(f'log of {tmp_path}', log_file=str(file))
    return lambda: file.read_text()


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('shapes') / 'data'
    make_shapes(folder, 100, 0, 32, seed=3, report=lambda line: None)
    return folder


def test_whole_images_are_read_as_mmcv_reads_them(shapes):
    path = str(shapes / 'train2017' / f'{1:012d}.jpg')
    found = LoadTrainingImage(to_float32=True).transform(dict(img_path=path, sample_idx=0))
    wanted = LoadImageFromFile(to_float32=True).transform(dict(img_path=path))
    assert np.array_equal(found['img'], wanted['img']) and found['img'].dtype == np.float32
    assert found['ori_shape'] == wanted['ori_shape']


@pytest.mark.parametrize(
    ('spoil', 'says'),
    [
        (damage, 'cannot be decoded'),
        (lambda path: path.write_bytes(b''), 'cannot be decoded'),
        (lambda path: path.write_bytes(b'hello'), 'cannot be decoded'),
        (Path.unlink, 'No such file'),
        (lambda path: (path.unlink(), path.mkdir()), 'Is a directory'),
    ],
    ids=['middle', 'empty', 'text', 'missing', 'folder'],
)
def test_each_damaged_image_is_named_once(spoil, says, shapes, tmp_path, log):
    path = tmp_path / 'image.jpg'
    path.write_bytes((shapes / 'train2017' / f'{1:012d}.jpg').read_bytes())
    spoil(path)
    transform = LoadTrainingImage()
    assert [transform.transform(dict(img_path=str(path), sample_idx=7)) for _ in range(3)] == [None] * 3
    assert log().count(f'damaged image {path} (') == 1 and says in log()


def test_other_errors_are_not_hidden():
    with pytest.raises(KeyError):
        LoadTrainingImage().transform({})


def dataset(folder, number):
    pipeline = [dict(type='LoadTrainingImage'), dict(type='LoadInstanceAnnotations'), dict(type='PackDetInputs')]
    return DATASETS.build(
        dict(
            type='CocoDataset',
            data_root=str(folder),
            ann_file=TRAIN_ANN,
            data_prefix=dict(img='train2017/'),
            metainfo=dict(classes=CLASSES),
            filter_cfg=dict(filter_empty_gt=False),
            pipeline=pipeline,
            max_refetch=number,
        )
    )


def test_one_image_in_a_hundred(tmp_path, log):
    """Two epochs, each with other workers: 100 samples each, 99 of them the whole images, one taken twice."""
    make_shapes(tmp_path / 'data', 100, 0, 32, seed=3, report=lambda line: None)
    bad = tmp_path / 'data/train2017' / f'{42:012d}.jpg'
    damage(bad)
    loader = DataLoader(dataset(tmp_path / 'data', 1000), batch_size=1, num_workers=2, collate_fn=list)
    for _ in range(2):
        paths = [sample['data_samples'].img_path for batch in loader for sample in batch]
        assert len(paths) == 100 and len(set(paths)) == 99 and str(bad) not in paths
    assert log().count('damaged image') == 1 and str(bad) in log()


def write_run(bench):
    """A config that trains on the data with the loader of our recipes."""
    config = write_config(bench / 'tiny.py', bench / 'data')
    text = config.read_text()
    config.write_text(text.replace("dict(type='LoadImageFromFile')", "dict(type='LoadTrainingImage')", 1))
    return config


def with_objects(bench):
    ann = json.loads((bench / 'data' / TRAIN_ANN).read_text())
    used = {a['image_id'] for a in ann['annotations']}
    return [bench / 'data/train2017' / i['file_name'] for i in ann['images'] if i['id'] in used]


@pytest.mark.slow
def test_training_goes_on_without_a_damaged_image(tmp_path, capfd):
    make_shapes(tmp_path / 'data', 24, 2, 64, seed=1, report=lambda line: None)
    paths = with_objects(tmp_path)
    assert 20 <= len(paths) <= 24
    halve(paths[0])
    damage(paths[1])
    options = ['train_cfg.max_iters=24', 'train_cfg.val_interval=24', 'default_hooks.checkpoint.interval=24']
    # alone, for in a batch of two a portrait waits for another portrait
    options += ['train_dataloader.batch_size=1', 'train_dataloader.num_workers=1']
    options += ['optim_wrapper.optimizer.lr=0.001']  # the recipe's is for batches of 16, after a warm-up
    args = ['--work-dir', tmp_path / 'run', '--cfg-options', *options]
    assert run_tool('tools/train.py', write_run(tmp_path), *args) == 0
    warning = [
        line for line in capfd.readouterr().err.splitlines() if 'cannot be decoded' in line and 'warning' in line
    ]
    assert len(warning) == 1 and str(paths[0]) in warning[0] and '(and 1 more)' in warning[0]
    (log,) = (tmp_path / 'run').glob('*/*.log')
    # 24 batches: a whole shuffled pass, so each image came up
    for path in paths[:2]:
        assert log.read_text().count(f'damaged image {path} (') == 1
    assert 'coco/segm_mAP' in log.read_text()


def test_training_stops_where_no_image_can_be_used(tmp_path, capsys):
    make_data(tmp_path / 'data')
    for path in with_objects(tmp_path):
        damage(path)
    options = ['train_dataloader.dataset.pipeline.0.max_failures=20', 'train_dataloader.num_workers=1']
    options += ['train_dataloader.persistent_workers=True']
    args = ['--no-check', '--work-dir', tmp_path / 'run', '--cfg-options', *options]
    assert run_tool('tools/train.py', write_run(tmp_path), *args) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert 'none of 20 training images' in line and 'check_dataset.py' in line


def test_a_broken_copy_of_the_data_is_refused(tmp_path, capsys):
    """One image in six is more than a tenth."""
    make_data(tmp_path / 'data')
    halve(with_objects(tmp_path)[0])
    assert run_tool('tools/train.py', write_run(tmp_path), '--work-dir', tmp_path / 'run') == 1
    assert str(with_objects(tmp_path)[0]) in capsys.readouterr().err
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('spoil', [halve, spoil_table])
def test_evaluation_leaves_no_image_out(spoil, tmp_path, capsys):
    """What the check cannot see, since only the decoder does, is named when the first validation meets it."""
    make_shapes(tmp_path / 'data', 6, 20, 48, seed=1, report=lambda line: None)
    ann = json.loads((tmp_path / 'data' / VAL_ANN).read_text())
    path = tmp_path / 'data/val2017' / ann['images'][0]['file_name']
    spoil(path)
    options = ['val_dataloader.num_workers=1', 'train_cfg.max_iters=1']
    args = ['--work-dir', tmp_path / 'run', '--cfg-options', *options]
    assert run_tool('tools/train.py', write_run(tmp_path), *args) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert str(path) in line and 'cannot be decoded' in line
    assert (tmp_path / 'run').exists() == (spoil is spoil_table)


@pytest.mark.parametrize('name', ['coco', 'coco_ms', 'coco_lite-ms', 'shapes'])
def test_every_recipe_trains_on_and_tests_strictly(name):
    cfg = Config.fromfile(ROOT / f'configs/_base_/datasets/{name}.py')
    pipelines = [cfg[f'{split}_dataloader'].dataset.pipeline for split in ('train', 'val', 'test')]
    assert [p[0].type for p in pipelines] == ['LoadTrainingImage', 'LoadImageFromFile', 'LoadImageFromFile']
