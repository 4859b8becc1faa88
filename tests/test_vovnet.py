"""VoVNet: the table, the shapes, V1 / SE / eSE, freezing, DCN, checkpointing."""

import pytest
import torch
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmcv.ops import ModulatedDeformConv2dPack
from mmdet.models.layers import SELayer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmcentermask.models.ese import EffectiveSE
from mmcentermask.models.vovnet import VARIANTS, OSAModule, VoVNet

TRAINABLE = dict(norm_cfg=dict(type='BN', requires_grad=True), norm_eval=False)


@pytest.mark.parametrize('arch', ['V-19-slim-dw', 'V-19-dw', 'V-19-slim', 'V-19', 'V-39'])
def test_strides_and_widths_of_the_table(arch):
    net = VoVNet(arch).eval()
    with torch.no_grad():
        outs = net(torch.zeros(1, 3, 104, 64))
    # pools in ceil mode: 26 rows give 13, where floor mode gives 12
    expected = [(1, c, h, w) for c, h, w in zip(VARIANTS[arch].out_channels, (26, 13, 6, 3), (16, 8, 4, 2))]
    assert [tuple(out.shape) for out in outs] == expected


def test_module_counts_of_the_large_variants():
    for arch, counts in {'V-57': [1, 1, 4, 3], 'V-99': [1, 3, 9, 3]}.items():
        with torch.device('meta'):
            net = VoVNet(arch)
        assert [len(getattr(net, f'stage{i}')) for i in (2, 3, 4, 5)] == counts
        assert all(len(module.layers) == 5 for module in net.modules() if isinstance(module, OSAModule))


def test_out_indices_choose_stages_and_later_ones_are_not_built():
    net = VoVNet('V-19-slim', out_indices=(0, 2)).eval()
    assert not hasattr(net, 'stage5')
    with torch.no_grad():
        outs = net(torch.zeros(1, 3, 64, 64))
    assert [out.shape[1] for out in outs] == [112, 384]


def test_ese_is_the_papers_formula():
    ese = EffectiveSE(2)
    nn.init.zeros_(ese.fc.weight)
    with torch.no_grad():
        ese.fc.weight[0, 0], ese.fc.bias[:] = 1.0, torch.tensor([0.0, -9.0])
    x = torch.tensor([1.0, 2.0, 3.0, 6.0]).reshape(1, 1, 2, 2).repeat(1, 2, 1, 1)
    # channel 0: mean 3 -> relu6(3 + 3) / 6 = 1; channel 1: bias -9 -> 0
    assert torch.equal(ese(x)[0, 0], x[0, 0])
    assert ese(x)[0, 1].abs().max() == 0


def test_attention_and_residual_make_v1_se_and_v2():
    v1 = VoVNet('V-39', attention=None, residual=False)
    se = VoVNet('V-39', attention='SE')
    v2 = VoVNet('V-39')
    kinds = [{type(m.attention) for m in net.modules() if isinstance(m, OSAModule)} for net in (v1, se, v2)]
    assert kinds == [{nn.Identity}, {SELayer}, {EffectiveSE}]
    assert not any(m.residual for m in v1.modules() if isinstance(m, OSAModule))
    # from the second module of a stage on: V-39 has two modules in stages 4 and 5
    assert [m.residual for m in v2.modules() if isinstance(m, OSAModule)] == [False, False, False, True, False, True]
    # SE: two layers of C -> C / 16 -> C, with biases; eSE: one of C -> C
    widths = [256, 512, 768, 768, 1024, 1024]
    count = [sum(p.numel() for p in net.parameters()) for net in (v1, se, v2)]
    assert count[1] - count[0] == sum(2 * c * (c // 16) + c // 16 + c for c in widths)
    assert count[2] - count[0] == sum(c * c + c for c in widths)


def test_residual_adds_the_input():
    torch.manual_seed(0)
    modules = [
        OSAModule(8, 4, 8, 2, False, None, residual, False, None, dict(type='BN')).eval() for residual in (False, True)
    ]
    modules[1].load_state_dict(modules[0].state_dict())
    x = torch.randn(1, 8, 5, 5)
    torch.testing.assert_close(modules[1](x), modules[0](x) + x)


def test_depthwise_layers_and_their_reduction():
    net = VoVNet('V-19-slim-dw')
    assert isinstance(net.stem[0], ConvModule) and isinstance(net.stem[1], DepthwiseSeparableConvModule)
    separable = [m for m in net.modules() if isinstance(m, DepthwiseSeparableConvModule)]
    assert len(separable) == 2 + 4 * 3
    assert all(not m.depthwise_conv.with_norm and not m.depthwise_conv.with_activation for m in separable)
    assert all(m.pointwise_conv.with_norm and m.pointwise_conv.with_activation for m in separable)
    # stage 2 takes the stem's 64 channels, its own width, unreduced; the others reduce
    reductions = [getattr(net, f'stage{i}')[0].reduction is not None for i in (2, 3, 4, 5)]
    assert reductions == [False, True, True, True]
    assert net.stage3[0].concat.in_channels == 112 + 3 * 80  # the concatenation takes the unreduced input


def test_convolutions_have_no_bias_and_norms_are_frozen_by_default():
    net = VoVNet('V-19-slim')
    convs = [m.conv for m in net.modules() if isinstance(m, ConvModule)]
    assert convs and all(conv.bias is None for conv in convs)
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm)]
    assert all(m.eps == 1e-5 and not m.weight.requires_grad for m in norms)
    assert all(not m.training for m in net.train().modules() if isinstance(m, _BatchNorm))


def test_dcn_takes_the_3x3_convolutions_of_stages_3_to_5_and_starts_as_plain_convolution():
    net = VoVNet('V-19-slim', dcn=dict(type='DCNv2', deform_groups=1), **TRAINABLE)
    net.init_weights()
    counts = [
        sum(isinstance(m, ModulatedDeformConv2dPack) for m in getattr(net, f'stage{i}').modules()) for i in (2, 3, 4, 5)
    ]
    assert counts == [0, 3, 3, 3]
    offsets = [m.conv_offset for m in net.modules() if hasattr(m, 'conv_offset')]
    assert all(conv.weight.abs().max() == 0 for conv in offsets)
    out = net(torch.randn(2, 3, 64, 64))[-1]
    out.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize('stages, frozen', [(-1, []), (0, ['stem']), (2, ['stem', 'stage2', 'stage3'])])
def test_frozen_stages(stages, frozen):
    net = VoVNet('V-19-slim', frozen_stages=stages, **TRAINABLE).train()
    for name in ('stem', 'stage2', 'stage3', 'stage4', 'stage5'):
        module = getattr(net, name)
        assert all(p.requires_grad is (name not in frozen) for p in module.parameters())
        assert all(m.training is (name not in frozen) for m in module.modules() if isinstance(m, _BatchNorm))


def test_checkpointing_changes_memory_not_gradients():
    torch.manual_seed(0)
    plain, saving = (VoVNet('V-19-slim-dw', with_cp=with_cp, **TRAINABLE) for with_cp in (False, True))
    saving.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 64, 64)
    grads = []
    for net in (plain, saving):
        net(x)[-1].square().mean().backward()
        grads.append([p.grad for p in net.parameters() if p.grad is not None])
    assert len(grads[0]) == len(grads[1])
    for a, b in zip(*grads):
        torch.testing.assert_close(a, b)


def test_pretrained_weights_load_through_init_cfg(tmp_path):
    source = VoVNet('V-19-slim', **TRAINABLE)
    file = tmp_path / 'backbone.pth'
    torch.save(dict(state_dict=source.state_dict()), file)
    net = VoVNet('V-19-slim', init_cfg=dict(type='Pretrained', checkpoint=str(file)))
    net.init_weights()
    for a, b in zip(net.state_dict().values(), source.state_dict().values()):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(arch='V-40'), "no variant 'V-40'; choose one of V-19-slim-dw"),
        (dict(arch='V-39', attention='CBAM'), "'eSE', 'SE' or None, not 'CBAM'"),
        (dict(arch='V-39', out_indices=(2, 3, 4)), r'0 to 3; got \(2, 3, 4\)'),
        (dict(arch='V-39', frozen_stages=5), '-1 .none. to 4 .all.; got 5'),
        (dict(arch='V-19-slim-dw', dcn=dict(type='DCNv2', deform_groups=1)), 'depthwise separable and cannot'),
    ],
)
def test_what_cannot_be_is_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        VoVNet(**kwargs)


def test_frozen_norms_without_weights_are_refused_in_training_only():
    net = VoVNet('V-19-slim-dw')
    x = torch.zeros(1, 3, 32, 32)
    net.eval()(x)
    with pytest.raises(RuntimeError, match='no weights were loaded.*init_cfg.checkpoint=FILE'):
        net.train()(x)
    net.stem[0].bn.running_mean += 0.1  # as after loading weights
    net(x)
