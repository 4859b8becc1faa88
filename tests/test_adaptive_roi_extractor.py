"""Eq. 2, by hand, and what an RoI extractor owes to its callers."""

import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

from mmcentermask.models import AdaptiveRoIExtractor

ALIGN = dict(type='RoIAlign', output_size=14, sampling_ratio=0)


def roi(area, height=1.0, image=0):
    return [image, 0, 0, area / height, height]


@pytest.fixture
def extractor():
    return AdaptiveRoIExtractor(ALIGN, 4)


def test_levels_by_hand(extractor):
    # A_input = 80000. k = ceil(5 - log2(A_input / A_roi)):
    # the whole image 5; 3/4 of it ceil(4.58) = 5; half exactly 4; a bit over half 5; a quarter 3; a bit over it 4
    areas = [80000, 60000, 40000, 40001, 20000, 20001, 100, 0]
    rois = torch.tensor([roi(area, height=100.0) for area in areas])
    levels = extractor.map_roi_levels(rois, 80000) + 3
    assert levels.tolist() == [5, 5, 4, 5, 3, 4, 3, 3]


def test_an_roi_larger_than_its_image_or_inside_out_stays_within_the_levels(extractor):
    rois = torch.tensor([[0, -500, -500, 900, 900.0], [0, 9, 9, 5, 5.0], [0, 9, 9, 5, 200.0]])
    assert (extractor.map_roi_levels(rois, 100 * 100) + 3).tolist() == [5, 3, 3]


NAN, INF = float('nan'), float('inf')
WILD = [
    [NAN] * 4, [10, 10, NAN, 20], [NAN, 10, 20, 20], [-INF, -INF, INF, INF], [0, 0, 5, INF], [INF, INF, INF, INF],
    [-1e6, -1e6, 1e6, 1e6], [0, 0, 1e9, 1e9], [0, 5, 3e38, 5], [-3e38, -3e38, 3e38, 3e38], [40, 40, 20, 20],
    [9, 9, 5, 60],
]  # fmt: skip


def test_rois_of_a_model_out_of_hand_do_no_harm(extractor):
    """mmcv's RoIAlign fails on the CPU at many of them."""
    feats = [torch.randn(1, 4, 64 // s, 64 // s) for s in (8, 16, 32)]
    tame = [4.5, 3.25, 40, 50.0]
    rois = torch.tensor([[0, *box] for box in [tame, *WILD]], dtype=torch.float32)
    levels = extractor.map_roi_levels(rois, 64 * 64)
    assert levels.tolist() == [1, 0, 0, 0, 2, 2, 0, 2, 2, 0, 2, 0, 0]
    out = extractor(feats, rois)
    assert out.isfinite().all()
    assert torch.equal(out[:1], extractor(feats, rois[:1])) and out[0].abs().max() > 0
    far = torch.tensor([[0, -512, -512, 512, 512.0]])  # 8 sides of 64 pixels
    assert torch.equal(out[[4, 7, 10]], extractor(feats, far).expand(3, -1, -1, -1))
    # as far as the limit, an RoI is read as mmdet reads it
    assert torch.equal(extractor(feats, far), SingleRoIExtractor(ALIGN, 4, [8, 16, 32], finest_scale=128)(feats, far))


def test_each_roi_is_measured_against_its_own_image_before_padding(extractor):
    feats = [torch.full((2, 4, 256 // s, 256 // s), float(s)) for s in (8, 16, 32)]
    box = [32, 32, 112, 112.0]  # area 6400
    rois = torch.tensor([[0, *box], [1, *box]])
    own = extractor(feats, rois, img_shapes=[(80, 100), (256, 256)])
    # image 0: 8000 -> ceil(5 - 0.32) = 5 (stride 32); image 1: 65536 -> ceil(5 - 3.36) = 2, clamped to 3 (stride 8)
    assert own[:, 0, 7, 7].tolist() == [32, 8]
    padded = extractor(feats, rois)  # a model that passes no sizes: the padded area, 256 x 256
    assert padded[:, 0, 7, 7].tolist() == [8, 8]


def test_same_features_as_mmdets_extractor_when_levels_agree(extractor):
    torch.manual_seed(0)
    feats = [torch.randn(1, 4, 256 // s, 256 // s) for s in (8, 16, 32)]
    eq1 = SingleRoIExtractor(ALIGN, 4, [8, 16, 32], finest_scale=10_000)  # everything to the finest level
    rois = torch.tensor([[0, 10.3, 20.7, 50.1, 60.9], [0, -20.0, -20.0, 30.0, 10.0]])
    assert torch.equal(extractor(feats, rois), eq1(feats, rois))
    assert torch.equal(extractor(feats, rois, roi_scale_factor=1.5), eq1(feats, rois, roi_scale_factor=1.5))


def test_no_rois_and_unused_levels_keep_every_level_in_the_graph(extractor):
    feats = [torch.randn(1, 4, 64 // s, 64 // s, requires_grad=True) for s in (8, 16, 32)]
    feats[2].data[:] = float('inf')  # 0 * inf would be nan
    out = extractor(feats, torch.zeros(0, 5))
    assert out.shape == (0, 4, 14, 14)
    out.sum().backward()
    assert all(feat.grad.abs().max() == 0 for feat in feats)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_reduced_precision_features(extractor, dtype):
    torch.manual_seed(0)
    feats = [torch.randn(1, 4, 64 // s, 64 // s).to(dtype) for s in (8, 16, 32)]
    rois = torch.tensor([[0, 3.0, 5.0, 40.0, 50.0]])
    out = extractor(feats, rois)
    assert out.dtype == dtype
    torch.testing.assert_close(out, extractor([f.float() for f in feats], rois).to(dtype))


def test_p2_to_p5_and_what_cannot_be():
    extractor = AdaptiveRoIExtractor(ALIGN, 4, [4, 8, 16, 32], k_min=2)
    assert (extractor.map_roi_levels(torch.tensor([roi(100.0)]), 80000) + 2).tolist() == [2]
    with pytest.raises(ValueError, match='k_min .6. must not be above k_max .5.'):
        AdaptiveRoIExtractor(ALIGN, 4, k_min=6)
    with pytest.raises(ValueError, match=r'have strides \[8, 16, 32\], but featmap_strides is \[4, 8, 16\]'):
        AdaptiveRoIExtractor(ALIGN, 4, [4, 8, 16])
