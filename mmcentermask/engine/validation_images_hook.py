"""Draws the same few validation images again and again while a model learns."""

from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
import torch
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_world_size, is_main_process
from mmengine.runner import Runner

from ..visualization.labelled_images import LabelledImages


@HOOKS.register_module()
class ValidationImagesHook(DetVisualizationHook):
    """DetVisualizationHook that shows one set of validation images, taken at equal steps, as the model learns.

    The annotated objects stand on the left and the predictions on the right; of a panoptic model the predictions alone.
    All backends of the visualizer get them, by the iteration, as ``example_0``, ``example_1``, ...: files in
    ``TIMESTAMP/vis_data/vis_image``, TensorBoard, W&B, MLflow. In testing it is DetVisualizationHook.

    Args:
        images (int): How many. Defaults to 6.
        interval (int, optional): Draw every so many iterations, which predicts the images each time. Defaults to None:
            with each validation, from its own predictions.
        score_thr (float): Least score to draw, 0..1. Defaults to 0.3.
        **kwargs: As DetVisualizationHook.

    >>> cfg.default_hooks.visualization = dict(type='ValidationImagesHook', interval=500)  # doctest: +SKIP
    """

    def __init__(self, images: int = 6, interval: int | None = None, score_thr: float = 0.3, **kwargs) -> None:
        super().__init__(score_thr=score_thr, **kwargs)
        self.images, self.interval = images, interval
        self._places: dict[int, int] = {}  # of the images in the dataset -> number of the drawing

    def before_train(self, runner: Runner) -> None:
        """Choose the images, of those that the first process predicts."""
        if runner.val_loop is not None and self.images:
            self._labelled = LabelledImages(runner.val_dataloader.dataset)
            step = get_world_size()
            places = dict.fromkeys(place - place % step for place in self._labelled.spread(self.images))
            self._places = {place: number for number, place in enumerate(places)}
            self._ids = {self._labelled.id_of(place): place for place in self._places}

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any, outputs: Sequence[DetDataSample]) -> None:
        """Draw those of a batch that are of the set."""
        if self._places and not self.interval and is_main_process():
            for sample in outputs:
                if sample.img_id in self._ids:
                    self._draw(runner.iter, self._ids[sample.img_id], sample)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Predict and draw the set, every ``interval`` iterations."""
        if not (
            self._places and self.interval and is_main_process() and self.every_n_train_iters(runner, self.interval)
        ):
            return
        model = getattr(runner.model, 'module', runner.model)
        model.eval()
        with torch.no_grad():
            for place in self._places:
                sample = model.test_step(pseudo_collate([runner.val_dataloader.dataset[place]]))[0]
                self._draw(runner.iter + 1, place, sample)
        runner.model.train()

    def _draw(self, iteration: int, place: int, sample: DetDataSample) -> None:
        name = f'example_{self._places[place]}'
        if 'pred_panoptic_seg' in sample:
            image = mmcv.imread(sample.img_path, channel_order='rgb')
            self._visualizer.add_datasample(name, image, sample, draw_gt=False, step=iteration)
            return
        found = sample.pred_instances.cpu()
        drawings = self._labelled.draw(place, found[found.scores > self.score_thr])
        self._visualizer.add_image(name, np.hstack([drawing for drawing, _ in drawings]), iteration)
