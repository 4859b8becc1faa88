"""mmdet's metrics: of LVIS and Cityscapes with any NumPy, of COCO with any encoding and order of classes."""

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TextIO
from unittest import mock

import numpy as np
from mmdet.evaluation import CityScapesMetric, CocoMetric, LVISMetric
from mmdet.evaluation.metrics import coco_metric
from mmdet.registry import METRICS
from mmengine.fileio import get_local_path

from ..datasets.coco import CocoReader
from .fast_coco_eval import FastCOCOeval


@contextmanager
def names_of_old_numpy() -> Iterator[None]:
    """Give NumPy back what the packages of the two data sets ask for, at the end of a whole evaluation.

    ``numpy.float``, which ``lvis`` uses, is gone since NumPy 1.24; ``numpy.in1d``, which ``cityscapesscripts`` uses,
    since 2.4.
    """
    missing = {name: value for name, value in dict(float=float, in1d=np.isin).items() if not hasattr(np, name)}
    vars(np).update(missing)
    try:
        yield
    finally:
        for name in missing:
            delattr(np, name)


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


class _Tables(io.TextIOBase):
    """Passes on lines of AP and AR alone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if text.startswith(' Average '):
            self._stream.write(f'{text}\n')
        return len(text)


@METRICS.register_module()
class CocoInstanceMetric(CocoMetric):
    """CocoMetric that reads files as CocoInstanceDataset does, with labels in the order of the classes.

    hotcoco computes the scores where it is installed, see FastCOCOeval.

    Args: As CocoMetric.

    >>> dict(type='CocoInstanceMetric', ann_file='val.json', metric=['bbox', 'segm'])['type']
    'CocoInstanceMetric'
    """

    def __init__(self, ann_file: str | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        if ann_file is not None:
            with get_local_path(ann_file, backend_args=self.backend_args) as path:
                self._coco_api = CocoReader(path)

    def results2json(self, results: Sequence[dict], outfile_prefix: str) -> dict[str, str]:
        """Write predictions with the ids of their categories; return what kind is in which file."""
        self.cat_ids = self._coco_api.get_cat_ids(cat_names=self.dataset_meta['classes'])  # as labels are numbered
        files = super().results2json(results, outfile_prefix)
        self.cat_ids = sorted(self.cat_ids)  # as COCOeval orders them, by which class-wise scores are named
        return files

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return name -> score; of what pycocotools prints meanwhile, only its tables are shown."""
        with redirect_stdout(_Tables(sys.stdout)), mock.patch.object(coco_metric, 'COCOeval', FastCOCOeval):
            return super().compute_metrics(results)
