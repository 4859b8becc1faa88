"""Masks pasted without the picture equal mmdet's pasting and pycocotools' encoding, bit for bit."""

import pickle

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks, PolygonMasks, encode_mask_results
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from pycocotools import mask as mask_api

from conftest import sample, small_config
from mmcentermask.evaluation import DumpRLE
from mmcentermask.models import SAGMaskHead
from mmcentermask.structures import crop_masks, decode_crop, mask_boundaries, paste_dense, paste_rle

HEAD = dict(num_convs=1, in_channels=8, conv_out_channels=8, num_classes=3)


def pasted_by_mmdet(maps, boxes, height, width, threshold):
    """Paste probabilities (n, h, w) as FCNMaskHead does on the CPU, a picture each."""
    cfg, meta = ConfigDict(mask_thr_binary=threshold), dict(ori_shape=(height, width), scale_factor=(1.0, 1.0))
    labels = torch.zeros(len(maps), dtype=torch.long)
    head = FCNMaskHead(**HEAD)
    return head._predict_by_feat_single(maps[:, None].numpy(), boxes.clone(), labels, meta, cfg, activate_map=True)


def assert_equal_to_mmdet(maps, boxes, height, width, threshold=0.5):
    expected = pasted_by_mmdet(maps, boxes, height, width, threshold)
    assert torch.equal(paste_dense(maps, boxes, height, width, threshold), expected)
    assert paste_rle(maps, boxes, height, width, threshold) == encode_mask_results(expected.numpy())
    return expected


def random_maps(rng, kind, number, size):
    if kind == 'noise':
        maps = rng.random((number, *size))
    elif kind == 'crisp':
        maps = 1 / (1 + np.exp(-rng.normal(0, 6, (number, *size))))
    elif kind == 'round':  # many values lie on the threshold
        maps = rng.integers(0, 3, (number, *size)) / 2
    else:
        maps = np.full((number, *size), 0.5)
    return torch.from_numpy(maps.astype(np.float32))


@pytest.mark.parametrize('kind', ['noise', 'crisp', 'round', 'flat'])
@pytest.mark.parametrize('size', [(28, 28), (7, 14)])
@pytest.mark.parametrize('picture', [(1, 1), (1, 37), (30, 2), (93, 121), (240, 17)])
def test_pasting_equals_mmdets(picture, size, kind):
    height, width = picture
    rng = np.random.default_rng(7)
    corners = rng.uniform(-0.2, 1.2, (30, 2, 2)) * (width, height)
    corners[10:20] = corners[10:20].clip(0, (width, height))  # touch the borders
    corners[15:20] = corners[15:20].round()
    corners[20:25, 1] = corners[20:25, 0] + rng.uniform(0.01, 2, (5, 2))  # of about a pixel
    corners.sort(axis=1)
    corners[0] = [(0, 0), (width, height)]
    corners[1] = [(-width, -height), (2 * width, 2 * height)]
    boxes = torch.from_numpy(corners.reshape(30, 4).astype(np.float32))
    # mmdet fails at boxes that are far outside
    x1, y1, x2, y2 = boxes.T
    boxes = boxes[(x1 < width) & (y1 < height) & (x2 > 0) & (y2 > 0)]
    assert len(boxes) > 15
    maps = random_maps(rng, kind, len(boxes), size)
    masks = assert_equal_to_mmdet(maps, boxes, height, width)
    assert masks.any() and (kind == 'flat' or not masks.all())


@pytest.mark.parametrize('threshold', [1e-6, 0.1, 0.3, 0.9, 1.0, 1.5])
def test_thresholds(threshold):
    rng = np.random.default_rng(3)
    maps = torch.cat([random_maps(rng, kind, 4, (14, 14)) for kind in ('noise', 'crisp', 'round')])
    corners = np.sort(rng.uniform(0, 80, (12, 2, 2)), axis=1)
    boxes = torch.from_numpy(corners.reshape(12, 4).astype(np.float32))
    masks = assert_equal_to_mmdet(maps, boxes, 80, 80, threshold)
    assert masks.any() == (threshold <= 1)


def test_boxes_without_size_and_upside_down():
    boxes = torch.tensor([[5, 5, 5, 9], [5, 5, 9, 5], [5, 5, 5, 5], [9.2, 9, 8.7, 8.6], [4, 4, 4 + 1e-6, 8.5]])
    for kind in ('noise', 'crisp', 'round', 'flat'):
        assert_equal_to_mmdet(random_maps(np.random.default_rng(1), kind, 5, (28, 28)), boxes, 20, 30)


def test_values_that_are_no_numbers_or_large():
    rng = np.random.default_rng(5)
    maps = random_maps(rng, 'noise', 3, (14, 14))
    maps[0, 3, 4] = float('nan')
    maps[1] *= 1e4
    maps[2] -= 0.5
    boxes = torch.tensor([[2, 3, 40, 30], [5.5, 0, 44, 41], [0, 0, 50, 50.0]])
    for i in range(3):
        assert_equal_to_mmdet(maps[i : i + 1], boxes[i : i + 1], 50, 50)


def test_boxes_outside_of_the_picture_and_no_boxes_at_all():
    boxes = torch.tensor([[-20, 3, -9, 8], [3, 60, 8, 70], [2, 2, 8, 8], [float('nan')] * 4])
    maps = torch.ones(4, 14, 14)
    dense, codes = paste_dense(maps, boxes, 20, 30), paste_rle(maps, boxes, 20, 30)
    assert dense.sum(dim=(1, 2)).tolist() == [0, 0, 36, 0]
    assert codes == encode_mask_results(dense.numpy())
    assert paste_dense(maps[:0], boxes[:0], 20, 30).shape == (0, 20, 30)
    assert paste_rle(maps[:0], boxes[:0], 20, 30) == []


def test_by_hand():
    """A map of ones in a box of 4 x 3 pixels: run lengths go down the columns."""
    (code,) = paste_rle(torch.ones(1, 4, 4), torch.tensor([[1.0, 2.0, 5.0, 5.0]]), 10, 8)
    # 12 pixels before the first; 3 on and 7 off in each of four columns; the rest of the last and two more columns
    uncompressed = dict(size=[10, 8], counts=[12, 3, 7, 3, 7, 3, 7, 3, 35])
    assert code == mask_api.frPyObjects(uncompressed, 10, 8)
    (code,) = paste_rle(torch.ones(1, 4, 4), torch.tensor([[0.0, 0.0, 8.0, 10.0]]), 10, 8)
    assert code == mask_api.frPyObjects(dict(size=[10, 8], counts=[0, 80]), 10, 8)


def crowd():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 300, (40, 2, 2)), axis=1)
    corners[7] = [(0, 0), (300, 300)]
    return random_maps(rng, 'crisp', 40, (28, 28)), torch.from_numpy(corners.reshape(40, 4).astype(np.float32))


def test_parts_do_not_change_the_result(monkeypatch):
    maps, boxes = (part[:10] for part in crowd())
    maps[5] = 0.5
    whole = paste_rle(maps, boxes, 300, 300)
    monkeypatch.setattr(mask_boundaries, 'MAX_KNOTS', 1)
    monkeypatch.setattr(mask_boundaries, 'MAX_PIXELS', 20)
    groups = list(mask_boundaries._groups(np.ones(10), mask_boundaries.MAX_KNOTS))
    assert [(group.start, group.stop) for group in groups] == [(i, i + 1) for i in range(10)]
    assert paste_rle(maps, boxes, 300, 300) == whole


def test_memory_grows_with_a_side_of_the_picture_and_not_with_its_area(monkeypatch):
    """What is held at once is counted: knots of lines, and pixels that are sampled."""
    knots, pixels = [], []
    of_group, sampled = mask_boundaries._boundaries_of_group, mask_boundaries._sample

    def count_knots(maps, x, y, *args):
        knots.append(len(x.pixel) * (maps.shape[1] + 2))
        return of_group(maps, x, y, *args)

    def count_pixels(maps, owner, *args):
        pixels.append(len(owner))
        return sampled(maps, owner, *args)

    monkeypatch.setattr(mask_boundaries, '_boundaries_of_group', count_knots)
    monkeypatch.setattr(mask_boundaries, '_sample', count_pixels)
    maps, boxes = crowd()
    boxes = boxes * torch.tensor([8000 / 300, 6000 / 300] * 2)
    codes = paste_rle(maps, boxes, 6000, 8000)
    assert len(codes) == 40 and mask_api.area(codes[7]) > 1e7
    assert len(knots) > 3 and max(knots) <= mask_boundaries.MAX_KNOTS
    # few pixels come close to the threshold
    area = float((boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sum())
    assert sum(pixels) < 0.03 * area and max(pixels) <= mask_boundaries.MAX_PIXELS + 6000


def test_groups():
    cut = lambda sizes, most: [(p.start, p.stop) for p in mask_boundaries._groups(np.array(sizes), most)]  # noqa: E731
    assert cut([], 5) == []
    assert cut([9, 1, 2, 2, 9, 0, 0], 5) == [(0, 1), (1, 4), (4, 5), (5, 7)]
    assert cut([0, 0, 5, 1], 5) == [(0, 3), (3, 4)]


def heads_results(head, mask_format, rescale, boxes, logits, ori_shape=(60, 90)):
    results = InstanceData(
        bboxes=boxes.clone(), labels=torch.arange(len(boxes)) % 3, scores=torch.linspace(1, 0.5, len(boxes))
    )
    meta = dict(ori_shape=ori_shape, scale_factor=(1.5, 1.4))
    cfg = ConfigDict(mask_thr_binary=0.5, **({} if mask_format is None else dict(mask_format=mask_format)))
    return head.predict_by_feat((logits,), [results], [meta], cfg, rescale=rescale)[0]


@pytest.mark.parametrize('rescale', [True, False])
@pytest.mark.parametrize('number', [0, 9])
@pytest.mark.parametrize('agnostic', [True, False])
def test_mask_head_in_both_forms_equals_mmdets(rescale, number, agnostic):
    rng = np.random.default_rng(number)
    corners = np.sort(rng.uniform(0, 1, (number, 2, 2)), axis=1) * (135, 84)
    boxes = torch.from_numpy(corners.reshape(number, 4).astype(np.float32))
    logits = torch.from_numpy(rng.normal(0, 2, (number, 1 if agnostic else 3, 28, 28)).astype(np.float32))
    args = rescale, boxes, logits
    ours, mmdets = SAGMaskHead(class_agnostic=agnostic, **HEAD), FCNMaskHead(class_agnostic=agnostic, **HEAD)
    expected = heads_results(mmdets, None, *args)
    for mask_format in (None, 'dense', 'rle'):
        found = heads_results(ours, mask_format, *args)
        assert torch.equal(found.bboxes, expected.bboxes)
        if mask_format == 'rle':
            assert found.masks == encode_mask_results(expected.masks.numpy())
        else:
            assert found.masks.dtype == torch.bool and torch.equal(found.masks, expected.masks)


def test_a_negative_threshold_still_gives_mmdets_gray_masks():
    boxes, logits = torch.tensor([[3.0, 4, 50, 40]]), torch.randn(1, 3, 28, 28)
    cfg, meta = ConfigDict(mask_thr_binary=-1), dict(ori_shape=(60, 90), scale_factor=(1.0, 1.0))
    masks = [
        kind(**HEAD)._predict_by_feat_single(logits, boxes.clone(), torch.tensor([1]), meta, cfg)
        for kind in (FCNMaskHead, SAGMaskHead)
    ]
    assert masks[1].dtype == torch.uint8 and torch.equal(*masks)


@pytest.mark.parametrize(
    ('test_cfg', 'words'),
    [
        (dict(mask_format='RLE'), "must be 'dense' .* or 'rle' .*, not 'RLE'"),
        (dict(mask_format='rle', mask_thr_binary=0), 'needs a mask_thr_binary above 0, not 0'),
    ],
)
def test_impossible_forms_are_refused_before_anything_runs(test_cfg, words):
    cfg = small_config()
    cfg.test_cfg.rcnn.update(test_cfg)
    with pytest.raises(ValueError, match=words):
        MODELS.build(cfg)


@MODELS.register_module(force=True)
class MMDetPastingHead(SAGMaskHead):
    """Pastes as mmdet does, and encodes that."""

    def paste(self, maps, boxes, height, width, threshold, mask_format):
        masks = pasted_by_mmdet(maps, boxes, height, width, threshold)
        return masks if mask_format == 'dense' else encode_mask_results(masks.numpy())


@pytest.fixture(scope='module')
def roi_heads():
    """The same mask branch with our pasting and with mmdet's."""
    heads = []
    for kind in ('SAGMaskHead', 'MMDetPastingHead'):
        cfg = small_config()
        cfg.roi_head.mask_head.update(type=kind, num_classes=3)
        cfg.roi_head.mask_iou_head.num_classes = 3
        cfg.roi_head.update(train_cfg=cfg.train_cfg.rcnn, test_cfg=cfg.test_cfg.rcnn)
        torch.manual_seed(0)
        heads.append(MODELS.build(cfg.roi_head))
    return heads


def finished(roi_head, mask_format):
    roi_head.test_cfg.mask_format = mask_format
    boxes = [[-20.0, 30, 60, 90], [200, 10, 260, 40], [10, 10, 50, 140]]
    results = [
        InstanceData(bboxes=torch.tensor(b).reshape(-1, 4), labels=torch.arange(len(b)), scores=torch.ones(len(b)))
        for b in (boxes, [])
    ]
    generator = torch.Generator().manual_seed(0)
    preds = [torch.randn(n, 3, 28, 28, generator=generator) for n in (3, 0)]
    ious = [torch.rand(n, 3, generator=generator) for n in (3, 0)]
    metas = [sample(100, 128).metainfo, sample(128, 96).metainfo]
    return roi_head.finish(results, preds, ious, metas, rescale=True)


def test_both_forms_of_the_mask_branch_and_of_a_subclass(roi_heads):
    for roi_head in roi_heads:
        dense, codes = finished(roi_head, 'dense'), finished(roi_head, 'rle')
        assert len(dense[0]) == 2  # one of three lies outside
        for of_dense, of_codes in zip(dense, codes):
            assert isinstance(of_codes.masks, list)
            assert of_codes.masks == encode_mask_results(of_dense.masks.numpy())
            assert torch.equal(of_codes.mask_scores, of_dense.mask_scores)
            assert torch.equal(of_codes.bboxes, of_dense.bboxes)
        assert codes[1].masks == [] and dense[1].masks.shape == (0, 128, 96)


def test_coco_metric_scores_both_forms_alike(roi_heads):
    scores = []
    for mask_format in ('dense', 'rle'):
        metric = CocoMetric(metric=['bbox', 'segm'])
        metric.dataset_meta = dict(classes=('a', 'b', 'c'))
        results = finished(roi_heads[0], mask_format)
        masks = results[0].masks
        (truth,) = masks[:1] if mask_format == 'rle' else encode_mask_results(masks[:1].numpy())
        instance = dict(bbox=[0, 0, 30, 60], bbox_label=0, mask=dict(truth), ignore_flag=0)
        for i, found in enumerate(results):
            sample = dict(img_id=i, ori_shape=(128, 128), pred_instances=found.to_dict())
            metric.process({}, [dict(sample, instances=[instance] if i == 0 else [])])
        scores.append(metric.evaluate(size=2))
    assert scores[0] == scores[1] and scores[0]['coco/segm_mAP'] > 0


def test_both_forms_are_dumped_alike(roi_heads, tmp_path):
    dumps = []
    for mask_format in ('dense', 'rle'):
        metric = DumpRLE(out_file_path=str(tmp_path / f'{mask_format}.pkl'))
        results = finished(roi_heads[0], mask_format)
        samples = [dict(img_id=i, gt_instances={}, pred_instances=r.to_dict()) for i, r in enumerate(results)]
        metric.process({}, samples)
        assert all('masks' in sample['pred_instances'] for sample in samples)  # the next metric needs them
        metric.evaluate(size=2)
        dumps.append(pickle.loads((tmp_path / f'{mask_format}.pkl').read_bytes()))
    assert [len(dump['pred_instances']['scores']) for dump in dumps[0]] == [2, 0]
    for of_dense, of_codes in zip(*dumps):
        assert of_dense['pred_instances']['masks'] == of_codes['pred_instances']['masks']
        assert 'gt_instances' not in of_codes and of_dense.keys() == of_codes.keys()


def test_only_what_is_not_empty_is_decoded():
    mask = np.zeros((12, 9), bool)
    (empty,) = encode_mask_results(mask[None])
    assert decode_crop(empty)[0].size == 0
    mask[3:7, 4:6] = mask[5, 8] = True
    crop, x, y = decode_crop(encode_mask_results(mask[None])[0])
    assert (x, y) == (4, 3) and crop.dtype == bool and np.array_equal(crop, mask[3:7, 4:9])
    # runs of no pixel, one of them before the mask
    code = mask_api.frPyObjects(dict(size=[4, 3], counts=[1, 0, 4, 2, 0, 1, 4]), 4, 3)
    crop, x, y = decode_crop(code)
    assert (x, y, crop.tolist()) == (1, 1, [[True], [True], [True]])


def objects(dtype):
    rng = np.random.default_rng(2)
    polygons = []
    for parts in (1, 2, 1, 3):
        polygons.append([rng.uniform(0, 100, 2 * rng.integers(3, 9)).astype(dtype) for _ in range(parts)])
    return PolygonMasks(polygons, 100, 100)


@pytest.mark.parametrize('form', [float, np.float32, int, 'bitmap', 'loaded bitmap'])
@pytest.mark.parametrize('size', [(28, 28), (7, 14)])
def test_targets_equal_mmdets_crops(form, size):
    polygons = objects(float if isinstance(form, str) else form)
    masks = polygons.to_bitmap() if isinstance(form, str) else polygons  # its memory is not contiguous
    if form == 'loaded bitmap':
        masks = BitmapMasks(np.ascontiguousarray(masks.masks).astype(np.uint8), 100, 100)
    rng = np.random.default_rng(4)
    corners = np.sort(rng.uniform(-10, 110, (20, 2, 2)), axis=1)
    boxes = corners.reshape(20, 4).astype(np.float32)
    boxes[:3] = [[-50, -60, 200, 300], [10, 10, 10.2, 10.3], [150, 150, 160, 160]]
    inds = rng.integers(0, 4, 20)
    inds[inds == 2] = 0  # an object without a box
    for binarize in (True, False) if isinstance(form, str) else (True,):
        # mmdet truncates whole numbers when it moves them; as float64 they are right, as in the official code
        theirs = PolygonMasks([[p.astype(float) for p in o] for o in masks.masks], 100, 100) if form is int else masks
        expected = theirs.crop_and_resize(boxes, size, inds, 'cpu', binarize=binarize).to_ndarray()
        found = crop_masks(masks, torch.from_numpy(boxes), torch.from_numpy(inds), size, binarize)
        assert found.dtype == torch.float32 and found.shape == (20, *size)
        assert np.array_equal(found.numpy(), expected.astype(np.float32))
        assert 0 < found.mean() < 1
    assert crop_masks(masks, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), size).shape == (0, *size)


def test_polygons_have_no_soft_targets():
    with pytest.raises(ValueError, match='soft_mask_target needs bitmap masks'):
        crop_masks(objects(float), torch.ones(1, 4), torch.tensor([0]), (28, 28), binarize=False)
