"""VoVNet (Lee et al., CVPRW 2019) and VoVNetV2 (CenterMask, section 3.4): one table of variants."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.utils.checkpoint as cp
from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule
from mmdet.models.layers import SELayer
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from mmengine.model import BaseModule, constant_init
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import ConfigError
from .ese import EffectiveSE
from .untrained_norms import UntrainedNormGuard


class Variant(NamedTuple):
    """A row of the table of variants; stages are stages 2..5 of the paper, at strides 4, 8, 16, 32."""

    stem: tuple[int, int, int]  # output channels of the three stem convolutions
    conv_channels: tuple[int, int, int, int]  # of the 3x3 convolutions of each stage
    out_channels: tuple[int, int, int, int]  # of each stage
    num_convs: int  # 3x3 convolutions in an OSA module
    num_modules: tuple[int, int, int, int]  # OSA modules in each stage
    depthwise: bool = False  # every 3x3 is depthwise separable


_SLIM = dict(conv_channels=(64, 80, 96, 112), out_channels=(112, 256, 384, 512))
_FULL = dict(conv_channels=(128, 160, 192, 224), out_channels=(256, 512, 768, 1024))

VARIANTS = {
    'V-19-slim-dw': Variant((64, 64, 64), **_SLIM, num_convs=3, num_modules=(1, 1, 1, 1), depthwise=True),
    'V-19-dw': Variant((64, 64, 64), **_FULL, num_convs=3, num_modules=(1, 1, 1, 1), depthwise=True),
    'V-19-slim': Variant((64, 64, 128), **_SLIM, num_convs=3, num_modules=(1, 1, 1, 1)),
    'V-19': Variant((64, 64, 128), **_FULL, num_convs=3, num_modules=(1, 1, 1, 1)),
    'V-39': Variant((64, 64, 128), **_FULL, num_convs=5, num_modules=(1, 1, 2, 2)),
    'V-57': Variant((64, 64, 128), **_FULL, num_convs=5, num_modules=(1, 1, 4, 3)),
    'V-99': Variant((64, 64, 128), **_FULL, num_convs=5, num_modules=(1, 3, 9, 3)),
}


def _build_attention(name: str, channels: int) -> nn.Module:
    if name == 'eSE':
        return EffectiveSE(channels)
    if name == 'SE':
        return SELayer(channels, ratio=16)
    return nn.Identity()


class OSAModule(nn.Module):
    """One-shot aggregation: convolutions in a row, concatenated once (VoVNet, section 3.2).

    The input and the output of every 3x3 convolution are concatenated, a 1x1 convolution brings them to
    ``out_channels``, channel attention weighs the result, and with ``residual`` the input is added.

    Args:
        in_channels (int): Channels of the input.
        conv_channels (int): Channels of each 3x3 convolution.
        out_channels (int): Channels of the output.
        num_convs (int): Number of 3x3 convolutions.
        depthwise (bool): Make every 3x3 depthwise separable (normalization and ReLU after its pointwise
            part only); a 1x1 convolution first brings the input to ``conv_channels`` where they differ.
        attention (str, optional): ``'eSE'``, ``'SE'`` or None.
        residual (bool): Add the input to the output. Needs ``in_channels == out_channels``.
        with_cp (bool): Trade time for memory by activation checkpointing.
        conv_cfg (dict, optional): Config of the 3x3 convolutions, for example DCNv2.
        norm_cfg (dict): Config of the normalization.
    """

    def __init__(
        self,
        in_channels: int,
        conv_channels: int,
        out_channels: int,
        num_convs: int,
        depthwise: bool,
        attention: str | None,
        residual: bool,
        with_cp: bool,
        conv_cfg: OptConfigType,
        norm_cfg: ConfigType,
    ) -> None:
        super().__init__()
        self.residual = residual
        self.with_cp = with_cp
        self.reduction = None
        width = in_channels
        if depthwise and in_channels != conv_channels:
            self.reduction = ConvModule(in_channels, conv_channels, 1, norm_cfg=norm_cfg)
            width = conv_channels
        self.layers = nn.ModuleList(
            _conv3x3(width if i == 0 else conv_channels, conv_channels, 1, depthwise, conv_cfg, norm_cfg)
            for i in range(num_convs)
        )
        self.concat = ConvModule(in_channels + num_convs * conv_channels, out_channels, 1, norm_cfg=norm_cfg)
        self.attention = _build_attention(attention, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Aggregate once.

        Args:
            x (Tensor): Features of shape (N, ``in_channels``, H, W).

        Returns:
            Tensor: Features of shape (N, ``out_channels``, H, W).
        """
        if self.with_cp and x.requires_grad:
            return cp.checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        # the concatenation takes the unreduced input
        outs = [x]
        y = x if self.reduction is None else self.reduction(x)
        for layer in self.layers:
            y = layer(y)
            outs.append(y)
        y = self.attention(self.concat(torch.cat(outs, dim=1)))
        return y + x if self.residual else y


def _conv3x3(
    in_channels: int, out_channels: int, stride: int, depthwise: bool, conv_cfg: OptConfigType, norm_cfg: ConfigType
) -> nn.Module:
    if depthwise:
        return DepthwiseSeparableConvModule(
            in_channels,
            out_channels,
            3,
            stride=stride,
            padding=1,
            norm_cfg=norm_cfg,
            dw_norm_cfg=None,
            dw_act_cfg=None,
            bias=False,
        )
    return ConvModule(in_channels, out_channels, 3, stride=stride, padding=1, conv_cfg=conv_cfg, norm_cfg=norm_cfg)


@MODELS.register_module(name=['VoVNet', 'VoVNetV2'])
class VoVNet(BaseModule):
    """VoVNet, V1 and V2, with everything mmdet's ResNet offers: freezing, DCN stages, checkpointing.

    The defaults give VoVNetV2 as CenterMask uses it: eSE attention and residual connections from the
    second module of a stage on. ``attention=None, residual=False`` gives VoVNet V1.

    Args:
        arch (str): A row of the table: ``'V-19-slim-dw'``, ``'V-19-dw'``, ``'V-19-slim'``, ``'V-19'``,
            ``'V-39'``, ``'V-57'`` or ``'V-99'``.
        in_channels (int): Channels of the image. Defaults to 3.
        attention (str, optional): Channel attention at the end of every OSA module: ``'eSE'`` (VoVNetV2),
            ``'SE'`` (two layers, reduction 16) or None. Defaults to ``'eSE'``.
        residual (bool): Add a module's input to its output, from the second module of a stage on.
            Defaults to True.
        out_indices (Sequence[int]): Which stages to return; 0 is stage 2 of the paper (stride 4), 3 is
            stage 5 (stride 32). Stages after the last one are not built. Defaults to (0, 1, 2, 3).
        frozen_stages (int): -1 freezes nothing, 0 the stem, n > 0 the stem and the first n stages.
            Defaults to -1.
        norm_cfg (dict): Defaults to BN, eps 1e-5, frozen (``requires_grad=False``).
        norm_eval (bool): Keep the norms' running statistics fixed in training. Defaults to True.
        dcn (dict, optional): Config of the deformable convolution that takes the place of every 3x3
            convolution of the stages in ``stage_with_dcn``, for example
            ``dict(type='DCNv2', deform_groups=1)``. Defaults to None.
        stage_with_dcn (Sequence[bool]): One flag a stage. Defaults to (False, True, True, True).
        with_cp (bool): Trade time for memory by activation checkpointing. Defaults to False.
        init_cfg (dict or list[dict], optional): Defaults to Kaiming for convolutions and 1 for norms.

    Raises:
        ConfigError: An unknown ``arch`` or ``attention``, indices out of range, or DCN with a depthwise
            variant (a deformable convolution is not depthwise).
        RuntimeError: At the first training step, when norms are frozen and hold the statistics they
            were built with, because no weights were loaded.
    """

    def __init__(
        self,
        arch: str,
        in_channels: int = 3,
        attention: str | None = 'eSE',
        residual: bool = True,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_cfg: ConfigType = dict(type='BN', requires_grad=False),
        norm_eval: bool = True,
        dcn: OptConfigType = None,
        stage_with_dcn: Sequence[bool] = (False, True, True, True),
        with_cp: bool = False,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if init_cfg is None:
            # fan_in, since fan_out of a depthwise convolution counts all channels, of which each output sees one
            init_cfg = [
                dict(type='Kaiming', layer='Conv2d', mode='fan_in'),
                dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
            ]
        super().__init__(init_cfg=init_cfg)
        if arch not in VARIANTS:
            raise ConfigError(f'VoVNet has no variant {arch!r}; choose one of {", ".join(VARIANTS)}.')
        if attention not in ('eSE', 'SE', None):
            raise ConfigError(f"VoVNet's attention must be 'eSE', 'SE' or None, not {attention!r}.")
        if not out_indices or not all(0 <= i <= 3 for i in out_indices):
            raise ConfigError(f"VoVNet's out_indices count its four stages, 0 to 3; got {tuple(out_indices)}.")
        if not -1 <= frozen_stages <= 4:
            raise ConfigError(f"VoVNet's frozen_stages must be -1 (none) to 4 (all); got {frozen_stages}.")
        variant = VARIANTS[arch]
        if dcn is not None and variant.depthwise:
            raise ConfigError(
                f'VoVNet {arch} is depthwise separable and cannot take deformable convolutions; '
                'drop dcn or choose a variant without "dw".'
            )
        self.arch = arch
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval

        stem, width = [], in_channels
        for i, (channels, stride) in enumerate(zip(variant.stem, (2, 1, 2))):
            stem.append(_conv3x3(width, channels, stride, variant.depthwise and i > 0, None, norm_cfg))
            width = channels
        self.stem = nn.Sequential(*stem)
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)  # before stages 3, 4 and 5
        for i in range(max(self.out_indices) + 1):
            modules = []
            for j in range(variant.num_modules[i]):
                modules.append(
                    OSAModule(
                        width,
                        variant.conv_channels[i],
                        variant.out_channels[i],
                        variant.num_convs,
                        depthwise=variant.depthwise,
                        attention=attention,
                        residual=residual and j > 0,
                        with_cp=with_cp,
                        conv_cfg=dcn if dcn is not None and stage_with_dcn[i] else None,
                        norm_cfg=norm_cfg,
                    )
                )
                width = variant.out_channels[i]
            self.add_module(f'stage{i + 2}', nn.Sequential(*modules))
        self._freeze_stages()
        self.register_forward_pre_hook(UntrainedNormGuard())

    def init_weights(self) -> None:
        """Initialize, leaving the offsets of deformable convolutions at zero."""
        super().init_weights()
        pretrained = isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained'
        if not pretrained:
            for m in self.modules():
                if hasattr(m, 'conv_offset'):
                    constant_init(m.conv_offset, 0)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract features.

        Args:
            x (Tensor): Normalized images of shape (N, ``in_channels``, H, W).

        Returns:
            tuple[Tensor]: One tensor of shape (N, C_i, H / s_i, W / s_i) (rounded up) for every stage i in
            ``out_indices``, with s = 4, 8, 16, 32.
        """
        x = self.stem(x)
        outs = []
        for i in range(max(self.out_indices) + 1):
            x = getattr(self, f'stage{i + 2}')(self.pool(x) if i > 0 else x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def train(self, mode: bool = True) -> 'VoVNet':
        """Set the mode, keeping frozen stages and, with ``norm_eval``, all batch norms in eval mode."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for m in self.modules():
                if isinstance(m, _BatchNorm):
                    m.eval()
        return self

    def _freeze_stages(self) -> None:
        names = [f'stage{i + 2}' for i in range(self.frozen_stages)]
        for name in ['stem', *names] if self.frozen_stages >= 0 else []:
            module = getattr(self, name, None)
            if module is not None:
                module.eval()
                module.requires_grad_(False)
