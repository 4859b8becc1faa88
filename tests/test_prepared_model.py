"""A prepared model gives what the plain one gives, and cannot be trained."""

import copy
import pickle
from types import SimpleNamespace

import pytest
import torch
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from official_case import batch, build_model, known_answers
from recipe import official_shapes, recipe
from test_equality import cases
from tiny_run import make_data, run_tool, write_config
from tolerances import SCORES, WINOGRAD, WINOGRAD_BOXES, assert_same_detections
from torch import nn

from conftest import CONFIGS, build, sample, small_config
from mmcentermask import prepare_for_inference
from mmcentermask.checkpoints import convert_state_dict
from mmcentermask.inference import FastTestHook, winograd_conv
from mmcentermask.inference.batch_norm_folding import fold_batch_norms
from mmcentermask.inference.cached_points import SIZES, CachedPoints
from mmcentermask.inference.packed_conv import PackedConv2d, packing_works
from mmcentermask.inference.winograd_conv import WinogradConv2d, winograd_works
from mmcentermask.models import CenterMaskTTA, SpatialAttention

register_all_modules()
LITE = 'centermask_lite_V_19_slim_dw_eSE_FPN_ms_4x'
FIRST = 'centermask_M_v2_FPN_lite_res600_ms_bs16_4x'


def detections(model, inputs, samples):
    with torch.no_grad():
        return [s.pred_instances for s in model.predict(inputs, copy.deepcopy(samples))]


@pytest.mark.parametrize('name', cases([LITE, 'centermask_V_39_eSE_dcn_FPN_ms_3x']))
def test_float32_equals_the_plain_model(name):
    model = build_model(name)
    inputs, samples = batch(known_answers(name), model)
    prepared = prepare_for_inference(model)
    norms = [m for m in prepared.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not norms and [m for m in model.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    for ours, plain in zip(detections(prepared, inputs, samples), detections(model, inputs, samples), strict=True):
        assert_same_detections(ours, plain)


def test_the_first_centermask_too():
    conversion = convert_state_dict(recipe(official_shapes()['centermask'][FIRST]))
    model = MODELS.build(Config.fromfile(CONFIGS / f'{conversion.config}.py').model).eval()
    model.load_state_dict(conversion.state_dict, strict=True)
    model.test_cfg.score_thr = model.bbox_head.test_cfg.score_thr = 0.01
    inputs, samples = batch(known_answers(LITE), model)
    plain = detections(model, inputs, samples)
    for ours, theirs in zip(detections(prepare_for_inference(model), inputs, samples), plain, strict=True):
        assert_same_detections(ours, theirs)


@pytest.fixture(scope='module')
def lite():
    model = build_model(LITE)
    return (model, *batch(known_answers(LITE), model))


def test_the_trained_model_stays_as_it_is(lite):
    model, inputs, samples = lite
    before = {name: value.clone() for name, value in model.state_dict().items()}
    hooks = sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules())
    plain = detections(model, inputs, samples)
    prepared = prepare_for_inference(model)
    assert any('packed' in done or 'channels-last' in done for done in prepared.prepared)
    assert 'folded 22 batch norms' in prepared.prepared
    assert sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules()) == hooks
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for again, first in zip(detections(model, inputs, samples), plain, strict=True):
        assert torch.equal(again.bboxes, first.bboxes) and torch.equal(again.masks, first.masks)
    assert not hasattr(model, 'prepared') and any(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in prepared.parameters())


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_reduced_precision_keeps_scores_and_boxes_in_float32(lite, dtype):
    model, inputs, samples = lite
    try:
        prepared = prepare_for_inference(model, dtype)
    except RuntimeError as error:
        pytest.skip(str(error))
    with torch.no_grad():
        feats = prepared.extract_feat(inputs)
        plain_feats = model.extract_feat(inputs)
        ours, plain = prepared.bbox_head(feats), model.bbox_head(plain_feats)
    assert {feat.dtype for feat in feats} == {dtype}
    for level, other in zip(feats, plain_feats, strict=True):
        assert (level.float() - other).abs().max() < 0.03 * other.abs().max()
    for kind, others in zip(ours, plain, strict=True):
        for level, other in zip(kind, others, strict=True):
            assert level.dtype == torch.float32
            assert (level - other).abs().max() < 0.05 * other.abs().max()
    for found in detections(prepared, inputs, samples):
        assert len(found) == 20 and found.masks.any()
        assert {found[key].dtype for key in ('bboxes', 'scores', 'mask_scores')} == {torch.float32}
        # scores are continuous, so that twice as fine steps than bfloat16's are among them
        assert (found.bboxes != found.bboxes.to(dtype).float()).any()


def test_deformable_convolutions_run_in_float32_inside_of_bfloat16():
    name = 'centermask_V_39_eSE_dcn_FPN_ms_3x'
    model = build_model(name)
    x = batch(known_answers(name), model)[0][:1, :, :64, :64]
    with torch.no_grad():
        ours, plain = prepare_for_inference(model, torch.bfloat16).extract_feat(x), model.extract_feat(x)
    for level, other in zip(ours, plain, strict=True):
        assert level.dtype == torch.bfloat16
        assert (level.float() - other).abs().max() < 0.1 * other.abs().max()


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_nothing_found_gives_no_masks(lite, dtype):
    prepared = prepare_for_inference(lite[0], dtype)
    prepared.bbox_head.test_cfg = copy.deepcopy(prepared.bbox_head.test_cfg)
    prepared.bbox_head.test_cfg.score_thr = 1.0
    for found, data_sample in zip(detections(prepared, *lite[1:]), lite[2], strict=True):
        assert found.masks.shape == (0, *data_sample.ori_shape)


def test_training_is_refused(lite):
    prepared = prepare_for_inference(lite[0])
    data = dict(inputs=lite[1], data_samples=[sample(96, 96, [[8, 8, 40, 40]], [1])])
    with pytest.raises(RuntimeError, match='prepared for inference and cannot be trained'):
        prepared(**data, mode='loss')
    prepared.train()
    with pytest.raises(RuntimeError, match='train the one that it was made from'):
        prepared(**data, mode='predict')
    with pytest.raises(ValueError, match='prepared already'):
        prepare_for_inference(prepared)


def test_what_cannot_be_prepared(monkeypatch, lite):
    with pytest.raises(TypeError, match='takes a CenterMask, not a Conv2d'):
        prepare_for_inference(nn.Conv2d(1, 1, 1))
    with pytest.raises(ValueError, match='must be one of torch.float32, torch.bfloat16, torch.float16'):
        prepare_for_inference(lite[0], torch.int8)
    monkeypatch.delenv('CXX', raising=False)
    monkeypatch.setenv('PATH', '')
    with pytest.raises(RuntimeError, match=r'needs a C\+\+ compiler on CPU, and there is none'):
        prepare_for_inference(lite[0], compile=True)


@pytest.mark.slow
def test_compiled_for_images_of_any_size(lite):
    model, inputs, samples = lite
    prepared = prepare_for_inference(model, compile=True)
    assert prepared.prepared[-1] == 'compiled backbone, neck, bbox_head, mask_head, mask_iou_head'
    for size in (96, 128):
        cut = inputs[:1, :, :size, :size]
        metas = [sample(size, size)]
        assert_same_detections(detections(prepared, cut, metas)[0], detections(model, cut, metas)[0])


def test_other_parts_are_left_to_themselves():
    cfg = small_config()
    cfg.bbox_head = dict(
        type='ATSSHead',
        in_channels=128,
        feat_channels=64,
        stacked_convs=1,
        anchor_generator=dict(
            type='AnchorGenerator', ratios=[1.0], octave_base_scale=8, scales_per_octave=1, strides=[8, 16, 32, 64, 128]
        ),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        loss_centerness=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )
    cfg.roi_head.mask_head.attention = [dict(type='EffectiveSE', channels=128), dict(type='SpatialAttention')]
    cfg.roi_head.mask_iou_head = None
    cfg.backbone.attention = 'SE'
    cfg.test_cfg.score_thr = 0.0
    cfg.train_cfg = None
    model = build(cfg).eval()
    inputs, samples = torch.randn(1, 3, 96, 96), [sample(96, 96)]
    plain = detections(model, inputs, samples)[0]
    for dtype in (torch.float32, torch.bfloat16):
        prepared = prepare_for_inference(model, dtype)
        assert isinstance(prepared.roi_head.mask_head.attention[1], SpatialAttention)
        ours = detections(prepared, inputs, samples)[0]
        assert len(ours) == len(plain) > 0
        if dtype is torch.float32:
            torch.testing.assert_close(ours.scores, plain.scores, atol=SCORES, rtol=0)


@pytest.mark.parametrize('kind', [None, dict(type='DCNv2')])
def test_folding_by_hand(kind):
    torch.manual_seed(0)
    block = ConvModule(2, 3, 3, padding=1, conv_cfg=kind, norm_cfg=dict(type='BN')).eval()
    for value, spread in ((block.bn.weight, 1.0), (block.bn.bias, 1.0), (block.bn.running_mean, 1.0)):
        nn.init.normal_(value, std=spread)
    block.bn.running_var.uniform_(0.5, 2)
    x = torch.randn(1, 2, 6, 5)
    holder = nn.Sequential(block)
    with torch.no_grad():
        expected = holder(x)
        assert fold_batch_norms(holder) == 1 and isinstance(block.norm, nn.Identity)
        torch.testing.assert_close(holder(x), expected)
    assert fold_batch_norms(holder) == 0


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    'channels, out, size, kwargs',
    [
        (3, 8, 3, dict(stride=2, padding=1)),
        (16, 16, 3, dict(padding=1, groups=16)),
        (24, 5, 1, dict(bias=False)),
        (16, 32, 3, dict(padding=2, dilation=2)),
    ],
)
def test_packed_convolutions(dtype, channels, out, size, kwargs):
    if not packing_works(dtype):
        pytest.skip('this torch packs no convolutions')
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, out, size, **kwargs).to(dtype)
    for relu in (False, True):
        packed = PackedConv2d(conv, relu)
        for shape in ((1, 13, 7), (3, 64, 90), (0, 14, 14)):
            x = torch.randn(shape[0], channels, *shape[1:]).to(dtype)
            with torch.no_grad():
                expected = conv(x).relu() if relu else conv(x)
                tolerance = 1e-5 if dtype is torch.float32 else 0.02
                torch.testing.assert_close(packed(x), expected, rtol=tolerance, atol=tolerance)


def test_a_torch_that_cannot_pack_is_left_alone(monkeypatch, lite):
    def fails(*args):
        raise RuntimeError('no such operator')

    monkeypatch.setattr('mmcentermask.inference.packed_conv.PackedConv2d.forward', fails)
    with pytest.warns(UserWarning, match='convolutions stay as they are.*no such operator'):
        prepared = prepare_for_inference(lite[0])
    assert not [m for m in prepared.modules() if isinstance(m, PackedConv2d)]
    assert not [done for done in prepared.prepared if 'packed' in done]


@pytest.fixture
def winograd_calls(monkeypatch):
    """Number of channels of each convolution that goes Winograd's way."""
    if not winograd_works():
        pytest.skip('this torch has no NNPACK')
    calls, real = [], torch._nnpack_spatial_convolution

    def convolve(x, weight, *args):
        calls.append(weight.shape[1])
        return real(x, weight, *args)

    monkeypatch.setattr(torch, '_nnpack_spatial_convolution', convolve)
    return calls


@pytest.mark.parametrize('packed', [None, False, True], ids=['plain', 'packed', 'packed with ReLU'])
@pytest.mark.parametrize('bias', [True, False])
def test_winograd_convolutions(winograd_calls, packed, bias):
    torch.manual_seed(0)
    conv = nn.Conv2d(128, 64, 3, padding=1, bias=bias).to(memory_format=torch.channels_last)
    direct = conv if packed is None else PackedConv2d(conv, relu=packed)
    winograd = WinogradConv2d(direct, 35 * 50)
    large = torch.randn(1, 128, 35, 50)
    with torch.no_grad():
        for x in (large, large.to(memory_format=torch.channels_last)):
            # both with or without ReLU
            torch.testing.assert_close(winograd(x), direct(x), rtol=0, atol=WINOGRAD * direct(x).std().item())
        assert winograd_calls == [128, 128]
        for x in (large[..., :49], large.expand(2, -1, -1, -1), large[:0]):
            assert torch.equal(winograd(x), direct(x))
        assert winograd_calls == [128, 128]


def test_large_maps_go_winograds_way_with_equal_results(monkeypatch, winograd_calls):
    """On 448 x 512: one convolution of the neck, and the towers of the box head on P3."""
    monkeypatch.setattr(winograd_conv, '_LEAST_PRODUCTS', 8e8)
    name = 'centermask_V_39_eSE_FPN_ms_3x'
    model = build_model(name)
    model.test_cfg.score_thr = 0
    inputs, _ = batch(known_answers(name), model)
    image, samples = nn.functional.interpolate(inputs[:1], (448, 512), mode='bilinear'), [sample(448, 512)]
    (plain,) = detections(model, image, samples)
    for options, wanted in ((dict(winograd=False), 0), (dict(dtype=torch.bfloat16), 0), ({}, 1 + 8)):
        prepared = prepare_for_inference(model, **options)
        winograd_calls.clear()
        (found,) = detections(prepared, image, samples)
        assert len(winograd_calls) == wanted
        assert any('Winograd' in done for done in prepared.prepared) == (wanted > 0)
    assert_same_detections(found, plain, boxes=WINOGRAD_BOXES)


@pytest.mark.parametrize('there', [False, True])
def test_a_torch_without_nnpack_goes_the_direct_way(monkeypatch, lite, there):
    def wrong(x, weight, *args):
        return x[:, : len(weight)]

    monkeypatch.setattr(torch, '_nnpack_available', lambda: there, raising=False)
    monkeypatch.setattr(torch, '_nnpack_spatial_convolution', wrong, raising=False)
    prepared = prepare_for_inference(lite[0])
    assert not [m for m in prepared.modules() if isinstance(m, WinogradConv2d)]
    assert not [done for done in prepared.prepared if 'Winograd' in done]


def test_points_are_computed_once_for_a_size(lite):
    generator = copy.deepcopy(lite[0].bbox_head.prior_generator)
    points = CachedPoints(generator)
    sizes = [(12, 12), (6, 6), (3, 3), (2, 2), (1, 1)]
    first = points(sizes, dtype=torch.float32, device='cpu')
    for ours, plain in zip(first, generator.grid_priors(sizes, device='cpu'), strict=True):
        assert torch.equal(ours, plain)
    assert points(list(map(torch.Size, sizes)), dtype=torch.float32, device='cpu') is first
    assert points(sizes, dtype=torch.float64, device='cpu')[0].dtype == torch.float64
    for width in range(SIZES + 3):
        points([(1, 1 + width)] * 5, device='cpu')
    assert len(points.kept) == SIZES
    pickle.dumps(points)


def test_the_hook_prepares_what_is_wrapped(lite):
    tta = CenterMaskTTA(dict(nms=dict(type='nms', iou_threshold=0.6), max_per_img=10), lite[0])
    runner = SimpleNamespace(model=tta)
    FastTestHook('bf16').before_test(runner)
    assert runner.model is tta and 'bfloat16' in tta.module.prepared[1]
    runner = SimpleNamespace(model=lite[0])
    FastTestHook().before_test(runner)
    assert runner.model is not lite[0] and runner.model.prepared
    with pytest.raises(ValueError, match='one of fp32, bf16, fp16'):
        FastTestHook('int8')


def test_the_command_tests_with_a_fast_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path / 'tiny.py', make_data(tmp_path / 'data'))
    model = MODELS.build(Config.fromfile(config).model)
    model.init_weights()
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, tmp_path / 'weights.pth')
    found = []
    for name, option in (('plain', []), ('fast', ['--fast']), ('bf16', ['--fast', 'bf16'])):
        options = ['--out', f'{name}.pkl', '--cfg-options', 'model.test_cfg.score_thr=0.0']
        assert run_tool('tools/test.py', config, 'weights.pth', '--work-dir', name, *option, *options) == 0
        found.append(pickle.loads((tmp_path / f'{name}.pkl').read_bytes())[0]['pred_instances'])
        assert ('prepared for inference' in ''.join(p.read_text() for p in (tmp_path / name).rglob('*.log'))) == bool(
            option
        )
    assert torch.allclose(found[0]['scores'], found[1]['scores'], atol=SCORES) and len(found[2]['scores']) > 0
