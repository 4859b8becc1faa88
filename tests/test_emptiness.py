"""Nothing to learn from, nothing found, and far too much: losses stay finite and every parameter gets a gradient."""

import contextlib
import json

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.structures.mask import PolygonMasks
from test_centermask import BOXES, boosted

from conftest import build, sample, small_config
from mmcentermask.visualization import CenterMaskVisualizer

# from 128 pixels on P6 has more than one cell: of a strided bf16 convolution on a single one, torch 2.13 leaves weight
# gradients on CPU unwritten
SIZE = 128


def crowd_only():
    """An image whose one object is a crowd region."""
    data_sample = sample(SIZE, SIZE)
    region = sample(SIZE, SIZE, [[4, 4, 120, 120]], [1]).gt_instances
    data_sample.ignored_instances = region
    return data_sample


def many(number=600):
    """Small boxes all over the image."""
    random = np.random.RandomState(0)
    corners = random.uniform(0, SIZE - 8, (number, 2))
    boxes = np.hstack([corners, corners + random.uniform(1, 8, (number, 2))])
    return sample(SIZE, SIZE, boxes.tolist(), random.randint(0, 3, number).tolist())


CASES = {
    'all images empty': lambda: [sample(SIZE, SIZE), sample(SIZE, SIZE)],
    'one image empty': lambda: [sample(SIZE, SIZE), sample(SIZE, SIZE, [[5, 5, 50, 40]], [2])],
    'only crowd regions': lambda: [crowd_only(), crowd_only()],
    'crowd beside objects': lambda: [crowd_only(), sample(SIZE, SIZE, [[5, 5, 50, 40]], [2])],
    'boxes without area': lambda: [sample(SIZE, SIZE, [[10, 10, 10, 10], [20, 5, 20, 40]], [0, 1]), sample(SIZE, SIZE)],
    'boxes of one pixel': lambda: [sample(SIZE, SIZE, [[10, 10, 11, 11], [127, 127, 128, 128]], [0, 1])] * 2,
    'boxes outside of the image': lambda: [
        sample(SIZE, SIZE, [[-40, -40, -10, -5], [140, 150, 190, 200]], [0, 1]),
        sample(SIZE, SIZE, [[-500, -500, 900, 900]], [1]),
    ],
    '600 objects': lambda: [many(), sample(SIZE, SIZE)],
}
NOTHING_TO_LEARN = ('all images empty', 'only crowd regions')


def gradients(model, samples, low_precision=False, times=1):
    """The losses of the last step and the gradients of all, accumulated."""
    torch.manual_seed(0)
    context = torch.autocast('cpu', torch.bfloat16) if low_precision else contextlib.nullcontext()
    for _ in range(times):
        with context:
            losses = model.train().loss(torch.randn(len(samples), 3, SIZE, SIZE), samples)
        (sum(losses.values()) / times).backward()
    return losses, {name: p.grad for name, p in model.named_parameters()}


def assert_sound(losses, grads):
    assert all(torch.isfinite(loss).all() for loss in losses.values()), losses
    assert not [name for name, grad in grads.items() if grad is None]
    assert not [name for name, grad in grads.items() if not torch.isfinite(grad).all()]


@pytest.mark.parametrize(
    'case, low_precision',
    [(case, low) for case in CASES for low in (False, True) if not (low and case == '600 objects')]
    # half a minute where the processor has no instructions for bf16
    + [pytest.param('600 objects', True, marks=pytest.mark.slow)],
)
def test_training(case, low_precision):
    losses, grads = gradients(boosted(build(small_config())), CASES[case](), low_precision)
    assert_sound(losses, grads)
    if case in NOTHING_TO_LEARN:
        assert losses['loss_mask'] == losses['loss_mask_iou'] == losses['loss_bbox'] == losses['loss_centerness'] == 0
        idle = [name for name in grads if 'roi_head' in name or 'conv_reg' in name or 'conv_centerness' in name]
        assert idle and all(grads[name].abs().max() == 0 for name in idle)
        assert losses['loss_cls'] > 0  # background is still learnt


@pytest.mark.parametrize('case', ['one image empty', 'all images empty'])
def test_gradient_accumulation(case):
    losses, grads = gradients(boosted(build(small_config())), CASES[case](), times=2)
    assert_sound(losses, grads)


def test_no_positive_proposals():
    # without the ground truth among the RoIs, and with proposals that meet nothing
    cfg = small_config()
    cfg.train_cfg.rcnn.sampler.add_gt_as_proposals = False
    cfg.train_cfg.proposal.score_thr = 0.999
    losses, grads = gradients(build(cfg), [sample(SIZE, SIZE, [[5, 5, 50, 40]], [2])] * 2)
    assert_sound(losses, grads)
    assert losses['loss_mask'] == losses['loss_mask_iou'] == 0 and losses['loss_bbox'] > 0


@pytest.mark.parametrize('classes', [1, 1203])
def test_one_class_and_very_many(classes):
    model = boosted(build(small_config(classes)))
    samples = [sample(SIZE, SIZE, [[5, 5, 50, 40]], [classes - 1]), sample(SIZE, SIZE)]
    losses, grads = gradients(model, samples)
    assert_sound(losses, grads)
    assert losses['loss_mask'] > 0
    logits = grads['roi_head.mask_head.conv_logits.weight'].flatten(1).abs().amax(dim=1)
    assert logits[-1] > 0 and not logits[:-1].any()  # masks of the other classes have nothing to learn


def test_a_mask_without_pixels_beside_a_box():
    data_sample = sample(SIZE, SIZE, BOXES[:1], [0])
    outside = np.array([200.0, 200, 210, 200, 210, 210])
    data_sample.gt_instances.masks = PolygonMasks([[outside]], SIZE, SIZE)
    assert_sound(*gradients(boosted(build(small_config())), [data_sample]))


def no_detections(model, number=2):
    """Predictions of a model that finds nothing, for images of other sizes than the network sees."""
    torch.nn.init.constant_(model.bbox_head.conv_cls.bias, -30.0)
    samples = [sample(SIZE, SIZE) for _ in range(number)]
    for data_sample in samples:
        data_sample.set_metainfo(dict(ori_shape=(80, 100), scale_factor=(1.28, 1.6)))
    with torch.no_grad():
        return model.eval().predict(torch.randn(number, 3, SIZE, SIZE), samples)


@pytest.mark.parametrize('scoring', [True, False])
@pytest.mark.parametrize('mask_format', ['dense', 'rle'])
def test_no_detections(scoring, mask_format):
    cfg = small_config()
    cfg.test_cfg.rcnn.mask_format = mask_format
    if not scoring:
        cfg.roi_head.mask_iou_head = None
    for data_sample in no_detections(build(cfg)):
        found = data_sample.pred_instances
        assert found.bboxes.shape == (0, 4)
        assert found.masks == [] if mask_format == 'rle' else found.masks.shape == (0, 80, 100)
        assert found.scores.shape == found.labels.shape == (0,)
        assert ('mask_scores' in found) == scoring
        assert scoring is False or found.mask_scores.shape == (0,)


@pytest.mark.parametrize('mask_format', ['dense', 'rle'])
def test_no_detections_are_scored_and_drawn(mask_format, tmp_path):
    cfg = small_config()
    cfg.test_cfg.rcnn.mask_format = mask_format
    found = no_detections(build(cfg))[0]
    found.set_metainfo(dict(img_id=7))
    truth = dict(
        images=[dict(id=7, height=80, width=100, file_name='7.png')],
        categories=[dict(id=1, name='thing')],
        annotations=[
            dict(
                id=1,
                image_id=7,
                category_id=1,
                iscrowd=0,
                area=100,
                bbox=[0, 0, 10, 10],
                segmentation=[[0, 0, 10, 0, 10, 10, 0, 10]],
            )
        ],
    )
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    metric = CocoMetric(ann_file=str(tmp_path / 'truth.json'), metric=['bbox', 'segm'])
    metric.dataset_meta = dict(classes=('thing',))
    metric.process({}, [found.to_dict()])
    # without any detection there is nothing to score: an empty answer, and no error
    assert metric.evaluate(1) == {}
    visualizer = CenterMaskVisualizer()
    visualizer.dataset_meta = dict(classes=('thing',), palette=[(0, 0, 0)])
    picture = np.full((80, 100, 3), 200, np.uint8)
    visualizer.add_datasample('none', picture, found, draw_gt=False)
    assert np.array_equal(visualizer.get_image(), picture)


def test_an_image_of_one_pixel_and_a_stripe():
    model = boosted(build(small_config())).eval()
    for height, width in ((1, 1), (1, 64), (64, 2)):
        data_sample = sample(height, width, padded=(64, 64))
        with torch.no_grad():
            found = model.predict(torch.randn(1, 3, 64, 64), [data_sample])[0].pred_instances
        assert found.masks.shape == (len(found), height, width)
