"""Refuses a loss of the wrong kind when a head is built, in place of failing at the first iteration."""

import torch
from torch import nn


def probe_loss(head: nn.Module, name: str, *args, **kwargs) -> float:
    """Compute one of a head's losses once, on values of the shapes that it will get.

    Args:
        head (nn.Module): Holds the loss; its class is named in the error.
        name (str): Name of the loss in the head and in its config, such as ``'loss_cls'``.
        *args: What the head gives to the loss, on CPU.
        **kwargs: The same by name.

    Returns:
        float: The loss.

    Raises:
        ValueError: If the loss cannot be computed from that, or is not one number.
    """
    loss = getattr(head, name)
    told = f'{type(head).__name__}: {type(loss).__name__} cannot be {name}, which gets ' + ' and '.join(
        f'{tuple(arg.shape)}' for arg in args
    )
    mend = 'choose a loss of the kind that the head has by default'
    try:
        # the losses may make tensors of their own, which shall not be where an empty model is built (meta)
        with torch.device('cpu'), torch.no_grad():
            value = loss(*args, **kwargs)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f'{told} and fails on it ({reason}): {mend}.') from error
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        raise ValueError(f'{told} and must give one number, but does not: {mend}.')
    return value.item()
