"""Keeps the points of a dense head, which depend on the size of the image alone."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

SIZES = 16  # sizes of images whose points are kept


class CachedPoints:
    """Stands for ``prior_generator.grid_priors`` of a dense head and gives the same tensors.

    Args:
        generator (object): mmdet's MlvlPointGenerator, or another generator of priors.
    """

    def __init__(self, generator: object) -> None:
        self.generator = generator
        self.kept: OrderedDict[tuple, list[Tensor]] = OrderedDict()

    def __call__(
        self, featmap_sizes: list[tuple], dtype: torch.dtype = torch.float32, device: str = 'cuda', **kwargs
    ) -> list[Tensor]:
        """Return the points of each level.

        Args:
            featmap_sizes (list[tuple]): Height and width of each level.
            dtype (torch.dtype): Of the points. Defaults to float32.
            device (str): Where they are. Defaults to ``'cuda'``, as mmdet's.
            **kwargs: As mmdet's; ``with_stride``.

        Returns:
            list[Tensor]: As mmdet's, not to be written to.
        """
        key = (tuple(map(tuple, featmap_sizes)), dtype, str(device), tuple(sorted(kwargs.items())))
        if key not in self.kept:
            make = type(self.generator).grid_priors
            self.kept[key] = make(self.generator, featmap_sizes, dtype=dtype, device=device, **kwargs)
            while len(self.kept) > SIZES:
                self.kept.popitem(last=False)
        return self.kept[key]


def cache_points(head: nn.Module) -> bool:
    """Keep the points of a dense head; return whether it has any."""
    generator = getattr(head, 'prior_generator', None)
    if not hasattr(generator, 'grid_priors'):
        return False
    generator.grid_priors = CachedPoints(generator)
    return True
