"""A model of a config in torch, as ``mmcentermask.Segmenter`` runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..errors import ConfigError
from ..models import CenterMaskHead, CenterMaskRoIHead
from ..structures import Instances
from .inferencer import CenterMaskInferencer

__all__ = ['TorchModel']

_OPTIONS = {
    'score_thr': 'model.test_cfg.score_thr',
    'iou_thr': 'model.test_cfg.nms.iou_threshold',
    'max_per_img': 'model.test_cfg.max_per_img',
}


class TorchModel:
    """A model of a config, by CenterMaskInferencer; the counterpart of ``runtime.exported_model.ExportedModel``.

    Arguments are those of CenterMaskInferencer, and ``threads`` of the CPU, which are torch's choice by default.
    ``score_thr``, ``iou_thr`` and ``max_per_img`` in ``options`` are taken in the place of the config's, where they are
    not None.

    Attributes:
        inferencer: The CenterMaskInferencer.
        classes: Names.
        max_per_img: Most objects of an image.

    Raises:
        InputError: See CenterMaskInferencer, or if a config file is given without weights.
    """

    def __init__(
        self,
        model: str | Path,
        weights: str | Path | None = None,
        device: str | None = None,
        threads: int | None = None,
        cfg_options: dict[str, Any] | None = None,
        **options: float | None,
    ) -> None:
        if weights is None and Path(model).is_file():
            raise ConfigError(f'the config {model} has no weights yet: give its checkpoint, too.')
        given = {_OPTIONS[name]: value for name, value in options.items() if value is not None}
        self._name = model
        self.inferencer = CenterMaskInferencer(
            model, weights, device, cfg_options={**(cfg_options or {}), **given}, show_progress=False
        )
        if threads is not None:
            torch.set_num_threads(threads)
        head = getattr(self.inferencer.model, 'bbox_head', None)
        if options.get('max_per_img') and isinstance(head, CenterMaskHead):
            # an object has about ten candidates, and those of a crowd may all be of one level
            head.test_cfg.nms_pre = max(head.test_cfg.nms_pre, 10 * options['max_per_img'])
        roi_head = getattr(self.inferencer.model, 'roi_head', None)
        if isinstance(roi_head, CenterMaskRoIHead):
            roi_head.test_cfg.mask_format = 'rle'
        self.classes = tuple(self.inferencer.model.dataset_meta['classes'])
        self.max_per_img = self.inferencer.limit()[1] or 0

    def load(self, source: Any, size: tuple[int, int] | None = None) -> dict[str, Any]:
        """Read and prepare an image, see CenterMaskInferencer.load.

        Where it is a reduced copy, ``size`` is the width and height of the image in whose pixels the results are to be.
        """
        data = self.inferencer.load(source)[1]
        if size is not None:
            height, width = data['data_samples'].img_shape[:2]
            data['data_samples'].set_metainfo(
                dict(ori_shape=size[::-1], scale_factor=(width / size[0], height / size[1]))
            )
        return data

    def run(self, images: list[dict[str, Any]]) -> list[Instances]:
        """Find the objects of a batch of images, as ``load`` returns them.

        Raises:
            ConfigError: If the model predicts no objects with masks.
        """
        samples = self.inferencer.forward(self.inferencer.collate_fn(images))
        predictions = [self.inferencer.pred2dict(sample) for sample in samples]
        if not all('masks' in prediction for prediction in predictions):
            raise ConfigError(f'the model {self._name} has no objects with masks: give one for instance segmentation.')
        return [Instances.from_dict(prediction, self.classes) for prediction in predictions]
