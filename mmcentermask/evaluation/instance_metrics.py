"""LVISInstanceMetric and CityscapesInstanceMetric: mmdet's metrics, with any NumPy."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
from mmdet.evaluation import CityScapesMetric, LVISMetric
from mmdet.registry import METRICS


@contextmanager
def names_of_old_numpy() -> Iterator[None]:
    """Give NumPy back what the packages of the two data sets ask for, at the end of a whole evaluation.

    ``numpy.float``, which ``lvis`` uses, is gone since NumPy 1.24; ``numpy.in1d``, which ``cityscapesscripts`` uses,
    since 2.4.
    """
    with mock.patch.multiple(np, float=float, in1d=np.isin, create=True):
        yield


@METRICS.register_module()
class LVISInstanceMetric(LVISMetric):
    """LVISMetric of boxes and masks.

    Args:
        metric (str or sequence[str]): Defaults to boxes and masks.
        **kwargs: As LVISMetric.
    """

    def __init__(self, metric: str | list[str] | tuple[str, ...] = ('bbox', 'segm'), **kwargs) -> None:
        super().__init__(metric=metric if isinstance(metric, str) else list(metric), **kwargs)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate what ``process`` collected; return AP and AR, of boxes and of masks."""
        with names_of_old_numpy():
            return super().compute_metrics(results)


@METRICS.register_module()
class CityscapesInstanceMetric(CityScapesMetric):
    """CityScapesMetric: AP of masks as Cityscapes counts it. Args: As CityScapesMetric."""

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate what ``process`` collected; return AP and AP at an IoU of 0.5."""
        with names_of_old_numpy():
            return super().compute_metrics(results)
