"""Fast inference: a copy of a trained CenterMask with folded batch norms, in channels-last layout."""

import copy
import logging
from functools import partial

import torch
from mmcv.cnn import ConvModule, fuse_conv_bn
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from mmcentermask.engine import use_channels_last
from mmcentermask.errors import InputError
from mmcentermask.models import CenterMask, EffectiveSE

__all__ = ['DTYPES', 'FastTestHook', 'check_dtype', 'fold_batch_norms', 'prepare_for_inference']

DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
_NAMES = {dtype: str(dtype).removeprefix('torch.') for dtype in DTYPES.values()}
# any of these (torch.cpu.get_capabilities), and a processor computes in the dtype rather than by way of float32
_INSTRUCTIONS = {
    torch.bfloat16: ('avx512_bf16', 'amx_bf16', 'avx_ne_convert', 'bf16'),
    torch.float16: ('avx512_fp16', 'amx_fp16', 'fp16_arith'),
}


def prepare_for_inference(model: nn.Module, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Make a fast copy of a trained model, with the same ``test_step`` and ``predict``.

    - Batch norms are folded into the convolutions before them, deformable ones too.
    - Tensors are laid out channels-last; mmcv's operators get the layout that they need.
    - In bfloat16 and float16 the last layers of the box head and of the mask-IoU head, mmcv's operators (RoIAlign,
      deformable convolutions, NMS), scores and boxes stay in float32.

    In float32 results are equal but for rounding. The copy cannot be trained, and its weights are no checkpoint. What
    was done is logged and listed in its attribute ``prepared``.

    Args:
        model (nn.Module): A CenterMask; not changed. Move it to its device before.
        dtype (torch.dtype): ``torch.float32``, ``torch.bfloat16`` or ``torch.float16``. On a CPU without instructions
            for bfloat16 that dtype is slower than float32, which is warned of. Defaults to float32.

    Returns:
        nn.Module: The copy, in evaluation mode.

    Raises:
        TypeError: If the model is no CenterMask.
        InputError: If the model was prepared already, there is no such ``dtype`` or the device cannot compute in it.

    >>> model = init_detector(config, 'checkpoint.pth', device='cpu')  # doctest: +SKIP
    >>> model = prepare_for_inference(model, torch.bfloat16)  # doctest: +SKIP
    >>> inference_detector(model, 'image.jpg')  # doctest: +SKIP
    """
    if not isinstance(model, CenterMask):
        raise TypeError(f'prepare_for_inference takes a CenterMask, not a {type(model).__name__}.')
    if hasattr(model, 'prepared'):
        raise InputError('prepare_for_inference was given a model that is prepared already: give it the trained one.')
    device = next(model.parameters()).device
    check_dtype(dtype, device)
    if _is_emulated(dtype, device):
        print_log(
            'this CPU has no bfloat16 instructions, so bfloat16 (bf16) will be several times slower than float32 '
            '(fp32): results are right, but float32 is the faster choice here.',
            logger='current',
            level=logging.WARNING,
        )

    model = copy.deepcopy(model).eval()
    before = _count_batch_norms(model)
    fold_batch_norms(model)
    left = _count_batch_norms(model)
    done = [f'folded {before - left} batch norms']
    if left:
        done.append(f'left {left} batch norms that follow no convolution')
    use_channels_last(model)
    done.append('channels-last layout')
    if dtype is not torch.float32:
        _convert_precision(model, dtype)
        done.append(f"{_NAMES[dtype]}, but float32 in last layers, mmcv's operators, scores and boxes")
    model.requires_grad_(False)
    model.register_forward_pre_hook(_refuse_training, with_kwargs=True)
    model.prepared = done
    print_log(f'prepared for inference: {"; ".join(done)}', logger='current')
    return model


@HOOKS.register_module()
class FastTestHook(Hook):
    """Puts what ``prepare_for_inference`` makes in the place of the model, once its weights are loaded.

    ``tools/test.py --fast`` adds it; a config does by ``custom_hooks = [dict(type='FastTestHook', dtype='bf16')]``.

    Args:
        dtype (str): ``'fp32'``, ``'bf16'`` or ``'fp16'``. Defaults to ``'fp32'``.

    Raises:
        ValueError: If there is no such ``dtype``.
    """

    def __init__(self, dtype: str = 'fp32') -> None:
        if dtype not in DTYPES:
            raise ValueError(f'FastTestHook: dtype must be one of {", ".join(DTYPES)}, not {dtype!r}.')
        self.dtype = DTYPES[dtype]

    def before_test(self, runner: Runner) -> None:
        """Prepare the runner's model, inside of what wraps it."""
        holder, name = runner, 'model'
        while is_model_wrapper(getattr(holder, name)) or isinstance(getattr(holder, name), BaseTTAModel):
            holder, name = getattr(holder, name), 'module'
        setattr(holder, name, prepare_for_inference(getattr(holder, name), self.dtype))


def check_dtype(dtype: torch.dtype, device: torch.device | str) -> None:
    """Check that inference in a dtype makes sense on a device.

    Args:
        dtype (torch.dtype): Of the dense part of a model.
        device (torch.device or str): Where it runs.

    Raises:
        InputError: If it is none of the three, the device cannot compute in it, or it is float16 on a CPU without
            instructions for it, where it is several times slower than float32 and less precise.
    """
    if dtype not in _NAMES:
        raise InputError(f'dtype must be one of {", ".join(map(str, _NAMES))}, not {dtype}.')
    if dtype is torch.float32:
        return
    device = torch.device(device)
    if dtype is torch.float16 and _is_emulated(dtype, device):
        raise InputError(
            'this CPU has no float16 instructions, so float16 (fp16) would be several times slower than float32: take '
            'float32 (fp32), or a GPU.'
        )
    try:
        with torch.no_grad():
            nn.Conv2d(8, 8, 3, device=device, dtype=dtype)(torch.zeros(1, 8, 8, 8, device=device, dtype=dtype))
    except RuntimeError as error:
        raise InputError(f'this {device.type} cannot compute in {_NAMES[dtype]}: take another dtype.') from error


def _is_emulated(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether a CPU computes in ``dtype`` by way of float32."""
    return dtype is not torch.float32 and device.type == 'cpu' and not _has_instructions(dtype)


def _has_instructions(dtype: torch.dtype) -> bool:
    if hasattr(torch.cpu, 'get_capabilities'):
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in _INSTRUCTIONS[dtype])
    name = 'bf16' if dtype is torch.bfloat16 else 'fp16'  # older torch: of oneDNN alone
    return getattr(torch.ops.mkldnn, f'_is_mkldnn_{name}_supported')()


def fold_batch_norms(model: nn.Module) -> None:
    """Fold the batch norms of a model in evaluation mode into its convolutions, deformable ones too.

    Args:
        model (nn.Module): Changed in place; a folded norm leaves an Identity.
    """
    fuse_conv_bn(model)  # plain convolutions only
    for module in model.modules():
        if isinstance(module, ConvModule) and module.with_norm and isinstance(module.norm, _BatchNorm):
            conv, norm = module.conv, module.norm
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
            )
            setattr(module, module.norm_name, nn.Identity())


def _count_batch_norms(model: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


def _convert_precision(model: CenterMask, dtype: torch.dtype) -> None:
    """Convert backbone, neck and heads to ``dtype``, but for what has no such kernel or would lose too much by it.

    In float32 stay mmcv's operators, the layer of eSE, and the last layers of the box head and of the mask-IoU head,
    whose outputs are distances and scores.
    """
    roi_head = model.roi_head
    operators = [module for module in model.modules() if type(module).__module__.startswith('mmcv.ops')]
    operators += [module.fc for module in model.modules() if isinstance(module, EffectiveSE)]
    last_layers = [
        child
        for head in (model.bbox_head, roi_head.mask_iou_head)
        if head is not None
        for child in head.children()
        if any(True for _ in child.parameters()) and not _is_tower(child)
    ]
    for part in (model.backbone, model.neck, model.bbox_head, roi_head, getattr(model, 'semantic_head', None)):
        if part is not None:
            part.to(dtype)
    for module in (model.backbone, roi_head.mask_head, roi_head.mask_iou_head):
        if module is not None:
            module.register_forward_pre_hook(partial(_cast_inputs, dtype))
    for module in [*operators, *last_layers]:
        module.float().register_forward_pre_hook(partial(_cast_inputs, torch.float32))
    for module in operators:
        module.register_forward_hook(partial(_cast_output, dtype))
    roi_head.mask_head.register_forward_hook(partial(_cast_output, torch.float32))


def _is_tower(module: nn.Module) -> bool:
    return isinstance(module, nn.ModuleList) and any(
        isinstance(part, (nn.Conv2d, nn.Linear)) for part in module.modules()
    )


# module-level functions, so that a prepared model can be copied and pickled
def _cast_inputs(dtype: torch.dtype, module: nn.Module, args: tuple) -> tuple:
    return tuple(_cast(arg, dtype) for arg in args)


def _cast_output(dtype: torch.dtype, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
    return _cast(output, dtype)


def _cast(value, dtype: torch.dtype):
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def _refuse_training(model: nn.Module, args: tuple, kwargs: dict) -> None:
    if model.training or kwargs.get('mode') == 'loss' or 'loss' in args[2:]:
        raise RuntimeError(
            'this model was prepared for inference and cannot be trained: train the one that it was made from.'
        )
