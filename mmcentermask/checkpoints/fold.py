"""Folds into weights what another code base computes outside of them."""

import torch
from torch import Tensor

from ..errors import CheckpointError
from .fetch import Normalization

__all__ = ['EPS', 'fold_missing_eps', 'fold_normalization']

EPS = 1e-5
"""Of our batch norms."""
_MEAN = torch.tensor(
    [123.675, 116.28, 103.53], dtype=torch.float64
)  # of our configs, which take BGR in 0..255; here RGB


def fold_missing_eps(state: dict[str, Tensor]) -> None:
    """Let batch norms with an eps answer as CenterMaskV1's, which have none: scale = weight / sqrt(variance).

    Each weight is multiplied by sqrt((variance + eps) / variance). Only the backbone has batch norms.

    Args:
        state (dict): Our name -> parameter, changed in place.

    Raises:
        CheckpointError: If a variance is not positive, where the original's own answer is not finite.
    """
    for norm in [name.removesuffix('.running_var') for name in state if name.endswith('.running_var')]:
        weight, variance = state[f'{norm}.weight'], state[f'{norm}.running_var'].double()
        folded = (weight.double() * ((variance + EPS) / variance).sqrt()).to(weight.dtype)
        if not folded.is_meta and not folded.isfinite().all():
            raise CheckpointError(
                f'the batch norm {norm} has variances that are not positive, which the original divides by: '
                'give the checkpoint of a model that works there.'
            )
        state[f'{norm}.weight'] = folded


def fold_normalization(state: dict[str, Tensor], normalization: Normalization, first: str = 'stem.0') -> bool:
    """Let a backbone answer to images as our configs give them (BGR, 0..255, less their mean) as to its own.

    With x an image in 0..255, RGB, its own input is (x / 255 - mean) / std = (x - M) / (255 std) + d, with M the mean
    of our configs and d = (M / 255 - mean) / std. The first factor and the order of the channels go into the first
    convolution, what d adds into the running mean of its norm. The convolution pads with zeros, which then stand for M
    in the place of the other mean: where d is not 0, outputs at the very border of an image differ.

    Args:
        state (dict): Our name -> parameter of the backbone, changed in place.
        normalization (Normalization): Its own.
        first (str): Its first layer, a convolution and a norm. Defaults to 'stem.0', VoVNet's.

    Returns:
        bool: Whether the border differs.
    """
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in normalization)
    shift = (_MEAN / 255 - mean) / std
    weight, centre = state[f'{first}.conv.weight'], state[f'{first}.bn.running_mean']
    added = (weight.double().cpu() * shift[:, None, None]).sum((1, 2, 3))
    folded = (weight.double().cpu() / (255 * std[:, None, None])).flip(1)
    state[f'{first}.conv.weight'] = folded.to(weight)
    state[f'{first}.bn.running_mean'] = (centre.double().cpu() - added).to(centre)
    return bool(shift.abs().max() > 1e-6)
