"""Tests with a fast copy of the model."""

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner

from .prepared_model import prepare_for_inference

DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


@HOOKS.register_module()
class FastTestHook(Hook):
    """Puts what ``prepare_for_inference`` makes in the place of the model, once its weights are loaded.

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
