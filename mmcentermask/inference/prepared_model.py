"""Makes a fast copy of a trained CenterMask."""

import copy

import torch
from mmengine.logging import print_log
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmcentermask.engine import use_channels_last
from mmcentermask.models import CenterMask, EffectiveSE
from mmcentermask.models.vovnet import OSAModule

from .batch_norm_folding import fold_batch_norms
from .cached_points import cache_points
from .compilation import check_compiler, compile_dense_part
from .kept_memory import keep_memory
from .packed_conv import pack_convolutions, packing_works
from .precision import convert_activations, convert_weights
from .winograd_conv import use_winograd, winograd_works

_NAMES = {torch.float32: 'float32', torch.bfloat16: 'bfloat16', torch.float16: 'float16'}


def prepare_for_inference(
    model: nn.Module, dtype: torch.dtype = torch.float32, compile: bool = False, winograd: bool = True
) -> nn.Module:
    """Make a fast copy of a trained model, with the same ``test_step`` and ``predict``.

    - Batch norms are folded into the convolutions before them, deformable ones too.
    - Tensors are laid out channels-last; mmcv's operators get the layout that they need.
    - On CPU, in float32 and bfloat16, convolutions keep their weights in oneDNN's layout and do their ReLU themselves.
    - On CPU, in float32, 3x3 convolutions of the neck and the box head take Winograd's way on large maps.
    - The points of the box head are computed once for a size of image.
    - On CPU the process keeps the memory of its tensors for the next image: ``keep_memory``, which undoes it, too.
    - In bfloat16 and float16 the last layers of the box head and of the mask-IoU head, mmcv's operators (RoIAlign,
      deformable convolutions, NMS), scores and boxes stay in float32.

    In float32 results are equal but for rounding. The copy cannot be trained, and its weights are no checkpoint. What
    was done is logged and listed in its attribute ``prepared``.

    Args:
        model (nn.Module): A CenterMask; not changed. Move it to its device before.
        dtype (torch.dtype): ``torch.float32``, ``torch.bfloat16`` or ``torch.float16``. Defaults to float32.
        compile (bool): Compile the dense part by torch.compile, for images of any size, when it first runs, in the
            place of keeping weights in oneDNN's layout. On CPU this needs a C++ compiler. Defaults to False.
        winograd (bool): False computes every convolution the direct way, whose rounding errors are smaller, in more
            time and less memory. Defaults to True.

    Returns:
        nn.Module: The copy, in evaluation mode.

    Raises:
        TypeError: If the model is no CenterMask.
        ValueError: If the model was prepared already, or there is no such ``dtype``.
        RuntimeError: If a compiler is needed and there is none, or the machine cannot compute in ``dtype``.
    """
    if not isinstance(model, CenterMask):
        raise TypeError(f'prepare_for_inference takes a CenterMask, not a {type(model).__name__}.')
    if hasattr(model, 'prepared'):
        raise ValueError('prepare_for_inference was given a model that is prepared already: give it the trained one.')
    if dtype not in _NAMES:
        raise ValueError(f'prepare_for_inference: dtype must be one of {", ".join(map(str, _NAMES))}, not {dtype}.')
    device = next(model.parameters()).device
    if compile:
        check_compiler(device)
    if dtype is not torch.float32:
        _check_dtype(dtype, device)

    model = copy.deepcopy(model).eval().requires_grad_(False)
    done = [f'folded {fold_batch_norms(model)} batch norms']
    left = sum(isinstance(module, _BatchNorm) for module in model.modules())
    if left:
        done.append(f'left {left} batch norms that follow no convolution')
    if dtype is not torch.float32:
        convert_weights(model, dtype)
        done.append(f"{_NAMES[dtype]}, but float32 in last layers, mmcv's operators, scores and boxes")
    for module in model.modules():
        if isinstance(module, OSAModule) and isinstance(module.attention, EffectiveSE):
            module.attention.inplace = True  # nothing else reads what it weighs
    use_channels_last(model)
    done.append('channels-last layout')
    plain_cpu = device.type == 'cpu' and not compile
    if plain_cpu and dtype is not torch.float16 and packing_works(dtype):
        done.append(f'packed {pack_convolutions(model)} convolutions')
    if plain_cpu and winograd and dtype is torch.float32 and winograd_works():
        done.append(f"Winograd's way for {use_winograd(model)} convolutions where maps are large")
    if dtype is not torch.float32:
        convert_activations(model, dtype)
    if cache_points(model.bbox_head):
        done.append('points computed once for a size of image')
    if device.type == 'cpu' and keep_memory():
        done.append('memory kept for the next image')
    if compile:
        done.append(f'compiled {", ".join(compile_dense_part(model))}')
    model.requires_grad_(False)  # of parameters made on the way
    model.register_forward_pre_hook(_refuse_training, with_kwargs=True)
    model.prepared = done
    print_log(f'prepared for inference: {"; ".join(done)}', logger='current')
    return model


def _check_dtype(dtype: torch.dtype, device: torch.device) -> None:
    try:
        with torch.no_grad():
            nn.Conv2d(8, 8, 3, device=device, dtype=dtype)(torch.zeros(1, 8, 8, 8, device=device, dtype=dtype))
    except RuntimeError as error:
        raise RuntimeError(
            f'prepare_for_inference: this {device.type} cannot compute in {_NAMES[dtype]}: take another dtype.'
        ) from error


def _refuse_training(model: nn.Module, args: tuple, kwargs: dict) -> None:
    if model.training or kwargs.get('mode') == 'loss' or 'loss' in args[2:]:
        raise RuntimeError(
            'this model was prepared for inference and cannot be trained: train the one that it was made from.'
        )
