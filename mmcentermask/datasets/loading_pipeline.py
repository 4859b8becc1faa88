"""Lets mmdet's tools find our loaders in a pipeline."""

from typing import Any

from mmdet.datasets import utils

__all__ = ['show_loaders_to_mmdet']


class _KindOf:
    """Equal to a class and to each of its subclasses."""

    __hash__ = None

    def __init__(self, base: type) -> None:
        self.base = base

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, type) and issubclass(other, self.base)


def show_loaders_to_mmdet() -> None:
    """Let ``mmdet.datasets.get_loading_pipeline`` take subclasses of mmdet's loaders for loaders.

    analyze_results.py and others use it to find the loading part of a training pipeline. It compares classes by
    identity, and refuses a pipeline whose loaders are subclasses.
    """
    for name in ('LoadImageFromFile', 'LoadAnnotations'):
        base = getattr(utils, name)
        if isinstance(base, type):
            setattr(utils, name, _KindOf(base))
