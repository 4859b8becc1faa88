"""MobileNetV2 without the layer that only a classifier needs."""

from mmdet.models.backbones import MobileNetV2
from mmdet.registry import MODELS

from ..errors import ConfigError
from .untrained_norms import UntrainedNormGuard


@MODELS.register_module()
class TrimmedMobileNetV2(MobileNetV2):
    """mmdet's MobileNetV2 without its last 1280-channel convolution.

    mmdet builds and runs that convolution even when no output needs it; its parameters then never get a
    gradient, which stops DDP. The official CenterMask models end at 320 channels too.

    Args:
        *args: As MobileNetV2; ``out_indices`` count layers 0 to 6.
        **kwargs: As MobileNetV2.

    Raises:
        ConfigError: If ``out_indices`` asks for the convolution that is left out.
        RuntimeError: See UntrainedNormGuard.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if 7 in self.out_indices:
            raise ConfigError('TrimmedMobileNetV2 has no layer 7; use MobileNetV2 for its last convolution.')
        self.layers.remove('conv2')
        del self.conv2
        self.register_forward_pre_hook(UntrainedNormGuard())
