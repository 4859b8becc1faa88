"""A panoptic model in everything that predicts: inferencers, demo, drawings, fast copies, benchmark, augmentation."""

import json

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.apis import DetInferencer
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from tiny_run import run_tool

from conftest import CONFIGS
from mmcentermask import analysis, prepare_for_inference
from mmcentermask.apis import CenterMaskInferencer
from mmcentermask.datasets import make_shapes
from mmcentermask.errors import ConfigError
from mmcentermask.models import PanopticFusionHead, StuffHead
from mmcentermask.structures import decode_segment_ids, paste_rle
from mmcentermask.visualization import CenterMaskVisualizer

CONFIG = CONFIGS / 'panoptic-centermask-lite_v19-slim-dw-ese_fpn_shapes.py'
HEIGHT, WIDTH = 60, 90
CLASSES = ('ellipse', 'rectangle', 'triangle', 'star', 'sky', 'grass', 'sand')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A config that takes doubtful objects, random weights, an image."""
    folder = tmp_path_factory.mktemp('panoptic')
    (folder / 'tiny.py').write_text(
        f'_base_ = {str(CONFIG)!r}\nmodel = dict(test_cfg=dict(score_thr=0.0, max_per_img=5, '
        'panoptic=dict(score_thr=0.0, stuff_area_limit=1)))\n'
    )
    model = analysis.build_untrained(Config.fromfile(folder / 'tiny.py'))
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / 'weights.pth')
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / 'photo.png'), image)
    return folder


@pytest.fixture(scope='module')
def inferencer(folder):
    return CenterMaskInferencer(folder / 'tiny.py', folder / 'weights.pth', device='cpu')


def test_a_prediction_has_its_segments(folder, inferencer, tmp_path):
    result = inferencer(str(folder / 'photo.png'), out_dir=str(tmp_path), no_save_pred=False)['predictions'][0]
    assert json.loads((tmp_path / 'preds/photo.json').read_text()) == result
    ids = decode_segment_ids((tmp_path / 'preds' / result['panoptic_seg_path']).read_bytes())
    assert ids.shape == (HEIGHT, WIDTH)
    segments = {segment['id']: segment for segment in result['segments_info']}
    assert {number: segment['area'] for number, segment in segments.items()} == {
        number: area for number, area in zip(*(v.tolist() for v in np.unique(ids, return_counts=True))) if number
    }
    assert any(number >= 1000 for number in segments)
    assert all(segment['class_name'] == CLASSES[segment['label']] for segment in segments.values())
    assert cv2.imread(str(tmp_path / 'vis/photo.png')).shape == (HEIGHT, WIDTH, 3)
    in_memory = inferencer(str(folder / 'photo.png'))['predictions'][0]
    assert np.array_equal(in_memory['panoptic_seg'], ids) and len(in_memory['masks']) == len(in_memory['scores'])


def test_mmdets_inferencer_takes_it(folder, inferencer, tmp_path):
    theirs = DetInferencer(str(folder / 'tiny.py'), None, device='cpu', show_progress=False)
    theirs.model = inferencer.model
    result = theirs(str(folder / 'photo.png'), out_dir=str(tmp_path), no_save_pred=False)['predictions'][0]
    ids = decode_segment_ids((tmp_path / 'preds/photo_panoptic_seg.png').read_bytes())
    assert np.array_equal(ids, inferencer(str(folder / 'photo.png'))['predictions'][0]['panoptic_seg'])
    assert result['masks'] and (tmp_path / 'vis/photo.png').is_file()


def test_the_demo_counts_segments(folder, tmp_path, capsys):
    arguments = [folder / 'photo.png', folder / 'tiny.py', '--weights', folder / 'weights.pth', '--device', 'cpu']
    assert run_tool('demo/image_demo.py', *arguments, '--fast', '--out-dir', tmp_path) == 0
    assert ' segment(s): drawn in' in capsys.readouterr().out
    assert (tmp_path / 'preds/photo.png').is_file()


def test_the_map_is_drawn_and_void_is_not():
    segments = np.full((360, 480), 2)  # void
    segments[:180], segments[200:320, 240:440], segments[200:320, 40:200] = 1, 1000, 2000
    sample = DetDataSample(pred_panoptic_seg=PixelData(sem_seg=torch.from_numpy(segments)[None]))
    sample.pred_instances = InstanceData(bboxes=torch.ones(1, 4), labels=torch.ones(1), scores=torch.ones(1))
    visualizer = CenterMaskVisualizer(alpha=0.5)
    visualizer.dataset_meta = dict(classes=('cat', 'sky'), palette=[(200, 0, 0), (0, 0, 200)])
    visualizer.add_datasample('', np.full((360, 480, 3), 100, np.uint8), sample, draw_gt=False)
    drawn = visualizer.get_image()
    assert drawn[20, 20].tolist() == [50, 50, 150]
    assert drawn[300, 400].tolist() == drawn[300, 60].tolist() == [150, 50, 50]
    assert drawn[340, 20].tolist() == [100, 100, 100]
    assert (drawn[20:160, 20:460] == (0, 0, 200)).all(axis=2).sum() > 100  # the ground of its name
    assert 'pred_instances' in sample


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_a_fast_copy_gives_the_same_map(folder, inferencer, dtype):
    data = analysis.test_pipeline(inferencer.cfg, cv2.imread(str(folder / 'photo.png')))
    with torch.no_grad():
        plain = inferencer.model.test_step(data())[0].pred_panoptic_seg.sem_seg
        fast = prepare_for_inference(inferencer.model, dtype).test_step(data())[0].pred_panoptic_seg.sem_seg
    assert fast.shape == plain.shape and fast.dtype == plain.dtype
    if dtype is torch.float32:
        assert (fast != plain).float().mean() < 0.05


def test_augmentation_is_refused(inferencer):
    with pytest.raises(ConfigError, match='takes no PanopticCenterMask: test without --tta'):
        MODELS.build(dict(type='CenterMaskTTA', tta_cfg=dict(nms={}, max_per_img=1), module=inferencer.model))


def test_benchmark_times_prediction_and_training(folder, tmp_path, capsys):
    common = [folder / 'tiny.py', '--size', 64, 64, '--repeats', 1, '--out', tmp_path]
    assert run_tool('tools/analysis_tools/benchmark.py', *common) == 0
    assert 'fusion' in capsys.readouterr().out
    assert run_tool('tools/analysis_tools/benchmark.py', *common, '--train', '--objects', 2) == 0


@pytest.mark.slow
def test_a_large_image_is_fused_in_little_memory(monkeypatch):
    """12 million pixels of 54 classes are 2.5 GB as logits."""
    torch.manual_seed(0)
    logits = F.interpolate(torch.randn(1, 54, 20, 27), (200, 272), mode='bilinear')
    semantic, fusion = StuffHead(in_channels=32, inner_channels=32), PanopticFusionHead()
    monkeypatch.setattr(semantic, 'forward', lambda x: dict(seg_preds=logits))
    fusion.test_cfg = dict(score_thr=0.5, mask_overlap=0.5, stuff_area_limit=4096)
    meta = dict(batch_input_shape=(800, 1088), img_shape=(800, 1067), ori_shape=(3000, 4000))
    corner = torch.rand(50, 2) * torch.tensor([3000.0, 2000.0])
    boxes = torch.cat([corner, corner + torch.rand(50, 2) * 1500 + 50], dim=1)
    results = []

    def run():
        masks = paste_rle(torch.rand(50, 28, 28), boxes, 3000, 4000)
        things = InstanceData(scores=torch.ones(50), labels=torch.arange(50), masks=masks)
        results.extend(fusion.predict([things], semantic.predict((), [meta], rescale=True)))

    used = analysis.peak_memory(run, 'cpu')
    assert results[0].sem_seg.shape == (1, 3000, 4000) and len(results[0].sem_seg.unique()) > 50
    if used is None:
        pytest.skip('this system does not tell')
    assert used < 500 * 2**20


@pytest.mark.slow
def test_trains_and_evaluates_by_the_commands(tmp_path, capsys):
    pytest.importorskip('hotcoco')
    make_shapes(tmp_path / 'data', 4, 2, 64, panoptic=True, report=lambda line: None)
    options = [f'data_root={tmp_path / "data"}', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2']
    options += [f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')]
    options += [f'{split}_dataloader.persistent_workers=False' for split in ('train', 'val', 'test')]
    options += ['default_hooks.checkpoint.interval=2', 'train_dataloader.batch_size=2']
    common = ['--work-dir', tmp_path / 'work', '--cfg-options', *options]
    assert run_tool('tools/train.py', CONFIG, *common) == 0
    assert 'coco_panoptic/PQ' in capsys.readouterr().out
    assert run_tool('tools/test.py', CONFIG, tmp_path / 'work/iter_2.pth', *common) == 0
    assert 'coco_panoptic/PQ_st' in capsys.readouterr().out
    assert run_tool('tools/test.py', CONFIG, tmp_path / 'work/iter_2.pth', '--tta', *common) == 1
    assert 'takes no PanopticCenterMask' in capsys.readouterr().err
