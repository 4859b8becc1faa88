"""Lets torch read, in its safe mode, what mmengine writes into its own checkpoints.

torch >= 2.6 refuses them otherwise: OpenMMLab's mmengine 0.10.7 cannot resume or test what it trained, and the
maintained line goes on without the safe mode.
"""

from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

__all__ = ['allow_own_checkpoints']


def _statistic(owner: type, name: str) -> Any:
    """Stand for ``getattr`` in a checkpoint: the statistics of a HistoryBuffer, and nothing else."""
    if owner is not HistoryBuffer or name not in ('current', 'max', 'mean', 'min', 'statistics'):
        raise ValueError(f'a checkpoint may not look up {name!r} of {owner!r}')
    return getattr(owner, name)


def allow_own_checkpoints() -> None:
    """Tell torch which types are harmless: HistoryBuffer, in which mmengine logs losses, and NumPy's numbers."""
    if digit_version(torch.__version__) < digit_version('2.6.0'):
        return  # loads them without asking
    core = getattr(np, '_core', None) or np.core
    dtypes = {type(np.dtype(name)) for name in ('float64', 'float32', 'int64', 'int32', 'uint32', 'bool')}
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            (_statistic, 'builtins.getattr'),
            core.multiarray._reconstruct,
            core.multiarray.scalar,
            np.ndarray,
            np.dtype,
            *dtypes,
        ]
    )
