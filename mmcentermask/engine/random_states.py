"""States of the random number generators, in a form that a checkpoint may hold: plain values and tensors."""

import random
from typing import Any

import numpy as np
import torch

__all__ = ['get_random_states', 'set_random_states']


def get_random_states() -> dict[str, Any]:
    """Return the states of this process: ``python``, ``numpy``, ``torch`` and, of the current device, ``cuda``."""
    name, keys, *rest = np.random.get_state()
    states = dict(
        python=random.getstate(),
        numpy=(name, torch.from_numpy(keys.astype(np.int64)), *rest),  # torch's safe mode refuses NumPy's array
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available():
        states['cuda'] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Go on in this process from what ``get_random_states`` returned; tensors may be on any device."""
    random.setstate(states['python'])
    name, keys, *rest = states['numpy']
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states['torch'].cpu())
    if 'cuda' in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states['cuda'].cpu())
