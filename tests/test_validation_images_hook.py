"""The same validation images are drawn at every validation, or every so many iterations, and the log tells how far."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS, HOOKS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.runner import LogProcessor
from mmengine.structures import InstanceData
from tiny_run import make_data, write_config

from mmcentermask.engine import ProgressLogProcessor, ValidationImagesHook, validation_images_hook
from mmcentermask.engine.progress_log_processor import in_words
from mmcentermask.visualization import CenterMaskVisualizer, LabelledImages


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """The six images to train on, as ones to validate on."""
    folder = tmp_path_factory.mktemp('images')
    cfg = Config.fromfile(write_config(folder / 'tiny.py', make_data(folder / 'data')))
    train, val = cfg.train_dataloader.dataset, cfg.val_dataloader.dataset
    return DATASETS.build({**val, 'ann_file': train.ann_file, 'data_prefix': train.data_prefix})


class Model(torch.nn.Module):
    """Finds one triangle, the upper left quarter of each image."""

    def test_step(self, data):
        assert not self.training and not torch.is_grad_enabled()
        return [predicted(sample) for sample in data['data_samples']]


def predicted(sample, score=0.9):
    height, width = sample.ori_shape
    mask = torch.zeros(1, height, width, dtype=torch.bool)
    mask[:, : height // 2, : width // 2] = True
    box = torch.tensor([[0.0, 0, width / 2, height / 2]])
    found = DetDataSample(metainfo=sample.metainfo)
    found.pred_instances = InstanceData(bboxes=box, labels=torch.tensor([2]), scores=torch.tensor([score]), masks=mask)
    return found


@pytest.fixture
def runner(images, tmp_path):
    visualizer = CenterMaskVisualizer.get_instance(
        tmp_path.name, vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path)
    )
    visualizer.dataset_meta = images.metainfo
    return SimpleNamespace(val_loop=True, val_dataloader=SimpleNamespace(dataset=images), iter=7, model=Model().train())


def drawn(tmp_path):
    return {path.stem: cv2.imread(str(path)) for path in sorted(tmp_path.glob('**/*.png'))}


def validate(hook, runner, images, score=0.9):
    for place in range(len(images)):
        hook.after_val_iter(runner, place, None, [predicted(images[place]['data_samples'], score)])


def test_drawn_with_each_validation(runner, images, tmp_path):
    hook = HOOKS.build(dict(type='ValidationImagesHook', images=2))
    hook.before_train(runner)
    validate(hook, runner, images)
    runner.iter = 14
    validate(hook, runner, images, score=0.1)  # not sure enough to be drawn
    hook.after_train_iter(runner, 0)
    files = drawn(tmp_path)
    assert list(files) == ['example_0_14', 'example_0_7', 'example_1_14', 'example_1_7']
    for number, place in ((0, 0), (1, len(images) - 1)):
        first, later = files[f'example_{number}_7'], files[f'example_{number}_14']
        height, width = first.shape[:2]
        half = width // 2
        picture = cv2.resize(
            images[place]['inputs'].permute(1, 2, 0).numpy(), (half, height), interpolation=cv2.INTER_CUBIC
        )
        assert max(height, half) == 480 and np.array_equal(first[:, :half], later[:, :half])
        assert np.abs(later[:, half:].astype(int) - picture).mean() < 12  # nothing is drawn, but the image is resized
        assert np.abs(first[:, :half].astype(int) - later[:, half:]).max() > 60  # the annotated objects
        changed = (first[:, half:] != later[:, half:]).any(2)
        assert changed[: height // 2, : half // 2].mean() > 0.9
        assert changed[height // 2 + 30 :, half // 2 + 10 :].mean() == 0


def test_drawn_every_so_many_iterations(runner, images, tmp_path):
    hook = ValidationImagesHook(images=1, interval=4)
    hook.before_train(runner)
    validate(hook, runner, images)
    for runner.iter in range(8):
        hook.after_train_iter(runner, 0)
    assert list(drawn(tmp_path)) == ['example_0_4', 'example_0_8'] and runner.model.training


def test_each_process_sees_a_part(runner, images, monkeypatch, tmp_path):
    """Of three processes the first predicts images 0 and 3."""
    monkeypatch.setattr(validation_images_hook, 'get_world_size', lambda: 3)
    hook = ValidationImagesHook(images=4)
    hook.before_train(runner)
    assert hook._places == {0: 0, 3: 1}
    monkeypatch.setattr(validation_images_hook, 'is_main_process', lambda: False)
    validate(hook, runner, images)
    assert drawn(tmp_path) == {}


@pytest.mark.parametrize('setting', [dict(images=0), {}])
def test_nothing_to_draw(setting, runner, images, tmp_path):
    if not setting:
        runner.val_loop = None
    hook = ValidationImagesHook(**setting)
    hook.before_train(runner)
    validate(hook, runner, images)
    assert drawn(tmp_path) == {}


def test_objects_without_masks_are_drawn_as_boxes(images):
    info = images.get_data_info(0)
    bare = [{key: value for key, value in entry.items() if key != 'mask'} for entry in info['instances']]
    nothing = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long), scores=torch.zeros(0))
    drawings = []
    for instances in ([], bare, info['instances']):
        dataset = MagicMock(metainfo=images.metainfo, get_data_info=lambda place, i=instances: {**info, 'instances': i})
        dataset.__len__.return_value = 1
        drawings.append(LabelledImages(dataset).draw(0, nothing)[0][0])
    empty, boxes, masks = drawings
    assert 0 < (boxes != empty).any(2).mean() < 0.5 * (masks != empty).any(2).mean()


def test_in_words():
    known = {
        0: '0 s',
        59.9: '59 s',
        60: '1 min',
        3600: '1 h 0 min',
        5025: '1 h 23 min',
        90000: '1 d 1 h',
        86400: '1 d 0 h',
    }
    assert {seconds: in_words(seconds) for seconds in known} == known


@pytest.mark.parametrize(
    ('mode', 'info', 'begin'),
    [
        ('train', dict(eta=5025.4), ' 25%, 1 h 23 min left, loss 1.235 | rest'),
        ('train', {}, 'rest'),
        ('val', dict(eta=9), 'rest'),
    ],
)
def test_line_of_the_log(mode, info, begin, monkeypatch):
    monkeypatch.setattr(
        LogProcessor, 'get_log_after_iter', lambda self, runner, batch, mode: (dict(loss=1.2346), 'rest')
    )
    runner = SimpleNamespace(iter=349, max_iters=1400, message_hub=SimpleNamespace(runtime_info=info))
    assert ProgressLogProcessor().get_log_after_iter(runner, 0, mode) == (dict(loss=1.2346), begin)
