"""A prepared model gives what the plain one gives, and cannot be trained."""

import copy
import mmap
import os
import pickle
import platform
import re
import subprocess
import sys
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
from tiny_run import find_something, make_data, run_tool, write_config
from tolerances import SCORES, assert_same_detections
from torch import nn

from conftest import CONFIGS, ROOT, build, sample, small_config
from mmcentermask import prepare_for_inference
from mmcentermask.apis import InputError, fast_inference
from mmcentermask.apis.fast_inference import FastTestHook, check_dtype, fold_batch_norms
from mmcentermask.checkpoints import convert_state_dict
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


def test_centermask_v1_too():
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
    assert prepared.prepared == ['folded 22 batch norms', 'channels-last layout']
    assert sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules()) == hooks
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for again, first in zip(detections(model, inputs, samples), plain, strict=True):
        assert torch.equal(again.bboxes, first.bboxes) and torch.equal(again.masks, first.masks)
    assert not hasattr(model, 'prepared') and any(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in prepared.parameters())


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_reduced_precision_keeps_scores_and_boxes_in_float32(monkeypatch, lite, dtype):
    monkeypatch.setattr(fast_inference, '_has_instructions', lambda dtype: True)  # slow without, but right
    model, inputs, samples = lite
    prepared = prepare_for_inference(model, dtype)
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


def test_what_cannot_be_prepared(lite):
    with pytest.raises(TypeError, match='takes a CenterMask, not a Conv2d'):
        prepare_for_inference(nn.Conv2d(1, 1, 1))
    with pytest.raises(InputError, match='must be one of torch.float32, torch.bfloat16, torch.float16'):
        prepare_for_inference(lite[0], torch.int8)


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
        fold_batch_norms(holder)
        assert isinstance(block.norm, nn.Identity)
        torch.testing.assert_close(holder(x), expected)


def processor(monkeypatch, *instructions):
    """Pretend to be on a processor that has these of the instructions that torch tells of."""
    known = ['avx512_bf16', 'avx512_fp16', 'amx_bf16', 'amx_fp16', 'avx_ne_convert', 'bf16', 'fp16_arith']
    capabilities = {name: name in instructions for name in known}
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: capabilities, raising=False)


def test_a_cpu_without_the_instructions_is_told(monkeypatch, capsys, lite):
    processor(monkeypatch, 'avx512_fp16')
    check_dtype(torch.float16, 'cpu')
    processor(monkeypatch, 'amx_bf16')
    check_dtype(torch.bfloat16, 'cpu')
    told = []
    monkeypatch.setattr(fast_inference, 'print_log', lambda text, logger, level=0: told.append(text))
    prepare_for_inference(lite[0], torch.bfloat16)
    assert not [text for text in told if 'instructions' in text]
    with pytest.raises(InputError, match='no float16 instructions.*several times slower than float32: take float32'):
        prepare_for_inference(lite[0], torch.float16)
    processor(monkeypatch)
    prepare_for_inference(lite[0], torch.bfloat16)
    (warning,) = [text for text in told if 'instructions' in text]
    assert 'no bfloat16 instructions' in warning and 'float32 is the faster choice here' in warning


@pytest.mark.parametrize('dtype, name', [(torch.bfloat16, 'bf16'), (torch.float16, 'fp16')])
def test_older_torch_is_asked_for_onednn_alone(monkeypatch, dtype, name):
    monkeypatch.delattr(torch.cpu, 'get_capabilities', raising=False)
    for answer in (False, True):
        monkeypatch.setattr(torch.ops.mkldnn, f'_is_mkldnn_{name}_supported', lambda answer=answer: answer)
        assert fast_inference._has_instructions(dtype) is answer


def test_a_prepared_model_can_be_pickled(lite):
    prepared = prepare_for_inference(lite[0], torch.bfloat16)
    assert pickle.loads(pickle.dumps(prepared)).prepared == prepared.prepared


def test_the_hook_prepares_what_is_wrapped(lite):
    tta = CenterMaskTTA(dict(nms=dict(type='nms', iou_threshold=0.6), max_per_img=10), lite[0])
    runner = SimpleNamespace(model=tta)
    FastTestHook('bf16').before_test(runner)
    assert runner.model is tta and 'bfloat16' in tta.module.prepared[-1]
    runner = SimpleNamespace(model=lite[0])
    FastTestHook().before_test(runner)
    assert runner.model is not lite[0] and runner.model.prepared
    with pytest.raises(ValueError, match='one of fp32, bf16, fp16'):
        FastTestHook('int8')


@pytest.mark.slow
def test_the_command_tests_with_a_fast_model(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config, weights = find_something(tmp_path)
    make_data(tmp_path / 'data')
    found = []
    for name, option in (('plain', []), ('fast', ['--fast']), ('bf16', ['--fast', 'bf16'])):
        options = ['--work-dir', name, '--out', f'{name}.pkl', *option]
        assert run_tool('tools/test.py', config, weights, *options) == 0
        found.append(pickle.loads((tmp_path / f'{name}.pkl').read_bytes())[0]['pred_instances'])
        (log,) = (tmp_path / name).rglob('*.log')
        assert ('prepared for inference' in log.read_text()) == bool(option)
    assert torch.allclose(found[0]['scores'], found[1]['scores'], atol=SCORES)
    assert [len(one['scores']) for one in found] == [5] * 3


def test_the_command_refuses_float16_on_a_cpu_without_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    processor(monkeypatch)
    monkeypatch.setattr('mmengine.device.utils.DEVICE', 'cpu')
    config = write_config(tmp_path / 'tiny.py', make_data(tmp_path / 'data'))
    assert run_tool('tools/test.py', config, 'weights.pth', '--fast', 'fp16', '--work-dir', 'run') == 1
    assert 'this CPU has no float16 instructions' in capsys.readouterr().err and not (tmp_path / 'run').exists()


MALLOC = dict(re.findall(r'(MALLOC_\w+)=(\d+)', (ROOT / 'docs/benchmark.md').read_text()))
FAULTS = """
import ctypes
import resource
import torch

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # no huge pages, PR_SET_THP_DISABLE: one fault each would hand out 2 MB

def faults():  # pages that the system hands out for a tensor of 64 MB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(min(faults() for _ in range(40)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='these variables are for glibc')
def test_the_environment_of_the_docs_keeps_freed_memory():
    assert len(MALLOC) == 2
    default, retained = [
        int(subprocess.run([sys.executable, '-c', FAULTS], env=env, capture_output=True, check=True).stdout)
        for env in (os.environ, dict(os.environ, **MALLOC))
    ]
    assert retained < (64 << 20) // mmap.PAGESIZE // 2 < default
