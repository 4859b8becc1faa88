"""What the benchmark times: a detector on an image from memory, or a training step."""

import copy
import time
from collections.abc import Callable

import numpy as np
import torch
from mmdet.structures.mask import encode_mask_results
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from ..runtime.exported_model import ExportedModel
from .timing import StageTimer

__all__ = ['ExportedRun', 'InferenceRun', 'TrainingRun', 'encode_masks']


def encode_masks(masks: Tensor | list[dict] | None) -> list[dict] | None:
    """Encode masks, (N, H, W), as RLE; what is RLE already, or None, stays."""
    return encode_mask_results(masks.cpu().numpy()) if isinstance(masks, Tensor) else masks


class InferenceRun:
    """Takes a batch from an image in memory to RLE masks.

    Args:
        model (nn.Module): A detector of mmdet in evaluation mode.
        prepare (Callable): Makes what ``test_step`` takes, from nothing: the test pipeline on the image.
        draw (Callable, optional): Draws a sample with predictions; timed as a stage of its own. Defaults to None.
    """

    def __init__(self, model: nn.Module, prepare: Callable[[], dict], draw: Callable | None = None) -> None:
        self.model = model
        self.prepare = prepare
        self.draw = draw
        self.boxes: int | None = None  # found in the first image of the last run
        self.timer = StageTimer(model)

    def __call__(self) -> dict[str, float]:
        """Run once; return the seconds of each stage."""
        timer = self.timer
        with torch.inference_mode(), timer.running():
            with timer.stage('pre-processing'):
                data = self.prepare()
            before = sum(timer.seconds.values())
            began = timer.now()
            samples = self.model.test_step(data)
            spent = timer.now() - began
            timer.seconds['other'] = max(0.0, spent - (sum(timer.seconds.values()) - before))
            with timer.stage('encoding'):
                for sample in samples:
                    encode_masks(sample.pred_instances.get('masks'))
            if self.draw is not None:
                with timer.stage('drawing'):
                    for sample in samples:
                        self.draw(sample)
            self.boxes = len(samples[0].pred_instances)
            return dict(timer.seconds)


class ExportedRun:
    """Takes a batch from an image in memory to RLE masks, by an exported model.

    Args:
        model (ExportedModel): The model.
        image (np.ndarray): uint8 (H, W, 3), BGR.
        batch (int): How many times it is taken at once.
    """

    def __init__(self, model: ExportedModel, image: np.ndarray, batch: int) -> None:
        self.model = model
        self.image = image
        self.batch = batch
        self.boxes: int | None = None  # found in the first image of the last run

    def __call__(self) -> dict[str, float]:
        """Run once; return the seconds of each stage."""
        began = time.perf_counter()
        loaded = [self.model.load(self.image) for _ in range(self.batch)]
        prepared = time.perf_counter()
        found = self.model.run(loaded)
        self.boxes = len(found[0])
        return {'pre-processing': prepared - began, 'graph and pasting': time.perf_counter() - prepared}


class TrainingRun:
    """Takes training steps on one batch in memory, with SGD at a learning rate of 0, so that all steps are alike.

    Args:
        model (nn.Module): A detector of mmdet; set to training mode.
        data (dict): As ``train_step`` takes it.
    """

    def __init__(self, model: nn.Module, data: dict) -> None:
        self.model = model.train()
        self.data = data
        parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = OptimWrapper(torch.optim.SGD(parameters, lr=0.0, momentum=0.9))
        self.timer = StageTimer(model)

    def __call__(self) -> dict[str, float]:
        """Take one step; return its seconds."""
        data = dict(inputs=list(self.data['inputs']), data_samples=copy.deepcopy(self.data['data_samples']))
        began = self.timer.now()
        self.model.train_step(data, self.optimizer)
        return {'step': self.timer.now() - began}
