"""Fuzzing targets: pasting, RLE, and the RoI extractor."""

import functools
import math

import numpy as np
import torch
from fuzzing import Target, numbers
from hypothesis import strategies as st
from mmcv.ops import roi_align
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmdet.structures.mask import encode_mask_results
from mmengine.config import ConfigDict
from pycocotools import mask as mask_api

from mmcentermask.datasets.masks import rle_problem
from mmcentermask.models import AdaptiveRoIExtractor
from mmcentermask.structures import decode_crop, encode_boundaries, paste_dense, paste_rle
from mmcentermask.structures.rle import counts_of

NAN, INF = float('nan'), float('inf')
VALUES = (NAN, INF, -INF, 0.0, -0.0, 0.5, 1.0, -1.0, 1e-45, 1e-38, 1e30, -1e30, 3.4e38, -3.4e38)
coordinate = st.floats(-20, 60, width=32) | st.integers(-3, 45).map(float) | st.sampled_from(VALUES)
seeds = st.integers(0, 2**32 - 1)


@functools.cache
def mmdets_head():
    return FCNMaskHead(num_convs=1, in_channels=8, conv_out_channels=8, num_classes=3)


def mmdet_pastes(maps, boxes, height, width, threshold):
    cfg, meta = ConfigDict(mask_thr_binary=threshold), dict(ori_shape=(height, width), scale_factor=(1.0, 1.0))
    labels = torch.zeros(len(maps), dtype=torch.long)
    return mmdets_head()._predict_by_feat_single(
        maps[:, None].numpy(), boxes.clone(), labels, meta, cfg, activate_map=True
    )


@st.composite
def pastings(draw):
    """Maps (n, h, w), boxes (n, 4), height and width of a picture, and a threshold."""
    boxes = draw(st.lists(st.tuples(*[coordinate] * 4), max_size=3))
    if draw(st.booleans()):  # the right way round
        boxes = [(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)) for x1, y1, x2, y2 in boxes]
    h, w = draw(st.sampled_from([(1, 1), (1, 2), (3, 2), (7, 14), (14, 14), (28, 28)]))
    rng = np.random.default_rng(draw(seeds))
    maps = rng.random((len(boxes), h, w)).astype(np.float32)
    kind = draw(st.sampled_from(['noise', 'round', 'crisp', 'special', 'huge']))
    if kind == 'round':  # many values lie on the threshold
        maps = np.round(maps * 2) / 2
    elif kind == 'crisp':
        maps = (maps > 0.5).astype(np.float32)
    elif kind == 'special':
        where = rng.random(maps.shape) < 0.1
        maps[where] = rng.choice(np.array(VALUES, np.float32), where.sum())
    elif kind == 'huge':
        maps = (maps - 0.5) * np.float32(10) ** rng.integers(0, 39)
    height, width = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    threshold = draw(st.sampled_from([0.5, 0.5, 0.5, 1e-6, 0.3, 1.0, 2.0]))
    return torch.from_numpy(maps), torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), height, width, threshold


def check_pasting(pasting, folder):
    maps, boxes, height, width, threshold = pasting
    with np.errstate(all='ignore'):
        dense = paste_dense(maps, boxes, height, width, threshold)
        codes = paste_rle(maps, boxes, height, width, threshold)
    assert dense.shape == (len(boxes), height, width) and dense.dtype == torch.bool
    assert codes == encode_mask_results(dense.numpy())
    for i, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        if any(map(math.isnan, (x1, y1, x2, y2))) or x2 <= -1 or y2 <= -1 or x1 >= width + 1 or y1 >= height + 1:
            assert not dense[i].any()
        # mmdet takes others for boxes of 2^31 pixels, or fails
        elif x1 < width and y1 < height and x2 > 0 and y2 > 0 and x1 <= x2 and y1 <= y2:
            expected = mmdet_pastes(maps[i : i + 1], boxes[i : i + 1], height, width, threshold)
            assert torch.equal(dense[i : i + 1], expected)


@st.composite
def pictures(draw):
    height, width = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    rng = np.random.default_rng(draw(seeds))
    share = draw(st.sampled_from([0, 0.05, 0.5, 0.95, 1]))
    return rng.random((draw(st.integers(0, 3)), height, width)) < share


def check_encoding(masks, folder):
    _, height, width = masks.shape
    turns = []
    for mask in masks:
        flat = np.concatenate([[False], mask.ravel(order='F'), [False]])
        turns.append(np.flatnonzero(flat[1:] != flat[:-1]))
    codes = encode_boundaries(turns, height, width)
    assert codes == encode_mask_results(masks)
    for mask, code in zip(masks, codes):
        crop, x, y = decode_crop(code)
        whole = np.zeros_like(mask)
        whole[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
        assert np.array_equal(whole, mask)


@st.composite
def rles(draw):
    """A ``segmentation`` of a picture of height x width, mostly a damaged one."""
    height, width = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    mask = np.random.default_rng(draw(seeds)).random((height, width)) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    code = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))['counts'].decode()
    size = draw(st.just([height, width]) | st.lists(numbers, max_size=3) | numbers)
    if draw(st.booleans()):
        counts = draw(st.lists(numbers | st.integers(0, 20), max_size=8))
        missing = height * width - sum(run for run in counts if type(run) is int)
        counts = counts + [missing] if draw(st.booleans()) else counts
    else:
        place = draw(st.integers(0, len(code)))
        letters = st.text(''.join(map(chr, range(46, 114))) + '\0é', max_size=12)
        counts = code[:place] + draw(letters) + code[place + draw(st.integers(0, 3)) :]
    return dict(size=size, counts=counts), height, width


def check_rle(given_input, folder):
    form, height, width = given_input
    if rle_problem(form, height, width) is None:  # then pycocotools, which trusts it, can have it
        rle = mask_api.frPyObjects(form, height, width) if isinstance(form['counts'], list) else form
        mask = mask_api.decode(rle)
        assert mask.shape == (height, width) and mask.sum() == mask_api.area(rle) and mask.max() <= 1
        runs = counts_of(form['counts']) if isinstance(form['counts'], str) else np.array(form['counts'])
        if (runs[1:] == 0).any():  # pycocotools gives these boxes from pixel -1 on
            return
        x, y, w, h = mask_api.toBbox(rle)
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height


@functools.cache
def extractor():
    return AdaptiveRoIExtractor(dict(type='RoIAlign', output_size=4, sampling_ratio=0), 2)


@functools.cache
def features():
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 2, 64 // stride, 96 // stride, generator=generator) for stride in (8, 16, 32))


@st.composite
def rois(draw):
    """RoIs (n, 5) of two images, and the heights and widths of these, or None."""
    sides = st.floats(-200, 300, width=32) | st.integers(0, 96).map(float) | st.sampled_from(VALUES)
    boxes = draw(st.lists(st.tuples(st.integers(0, 1), *[sides] * 4), max_size=4))
    shape = st.tuples(st.integers(1, 64), st.integers(1, 96))
    shapes = draw(st.none() | st.lists(shape, min_size=2, max_size=2))
    factor = draw(st.sampled_from([None, None, 1.5]))
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 5), shapes, factor


def check_rois(given_input, folder):
    boxes, shapes, factor = given_input
    feats = features()
    out = extractor()(feats, boxes, factor, img_shapes=shapes)
    assert out.shape == (len(boxes), 2, 4, 4) and out.isfinite().all()
    areas = torch.tensor([h * w for h, w in shapes or [(64, 96)] * 2])[boxes[:, 0].long()]
    levels = extractor().map_roi_levels(boxes, areas)
    assert levels.dtype == torch.long and ((levels >= 0) & (levels <= 2)).all()
    for i, (_, x1, y1, x2, y2) in enumerate(boxes.tolist()):
        if not all(abs(v) < 500 for v in (x1, y1, x2, y2)) or x2 < x1 or y2 < y1:
            continue
        exact = 5 + math.log2((x2 - x1) * (y2 - y1) / areas[i].item()) if x2 > x1 and y2 > y1 else -INF
        if abs(exact - round(exact) if exact > -INF else 1) > 1e-4:  # else rounding decides
            assert levels[i] == min(max(math.ceil(max(exact, -99)), 3), 5) - 3
        if factor is None:
            feat, stride = feats[levels[i]], (8, 16, 32)[levels[i]]
            assert torch.equal(out[i : i + 1], roi_align(feat, boxes[i : i + 1], 4, 1 / stride, 0, 'avg', True))


TARGETS = [
    Target('pasting', pastings(), check_pasting, 60, 1000),
    Target('encoding', pictures(), check_encoding, 40, 7500),
    Target('RLE', rles(), check_rle, 60, 4000),
    Target('RoIs', rois(), check_rois, 40, 1200),
]
