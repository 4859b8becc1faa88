"""States of the random number generators, in a form that a checkpoint may hold: plain values and tensors."""

import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object

__all__ = ['gather_random_states', 'get_random_states', 'set_random_states']


def get_random_states() -> dict[str, Any]:
    """Read the states of this process.

    Returns:
        dict: ``python``, ``numpy`` and ``torch``, and ``cuda`` where there is one: of the current device.
    """
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
    """Go on from given states in this process.

    Args:
        states (dict): As ``get_random_states`` returns them; tensors may be on any device.
    """
    random.setstate(states['python'])
    name, keys, *rest = states['numpy']
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states['torch'].cpu())
    if 'cuda' in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states['cuda'].cpu())


def gather_random_states(states: dict[str, Any]) -> list[dict[str, Any]]:
    """Bring the states of every process together, to be called in all of them.

    Args:
        states (dict): Those of this process.

    Returns:
        list[dict]: Those of every process, in the order of their ranks.
    """
    return all_gather_object(states)
