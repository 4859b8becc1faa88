"""Times the stages of a detector while it works."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mmcentermask.models import CenterMask

__all__ = ['STAGES', 'StageClock']

STAGES = (
    'pre-processing',
    'backbone',
    'neck',
    'box head',
    'decoding and NMS',
    'mask branch',
    'pasting',
    'other',
    'encoding',
)


class StageClock:
    """Adds up the seconds that a detector spends in each stage.

    Of a CenterMask these are the pre-processing on its device, backbone, neck, box head, decoding and NMS, mask branch
    and pasting; of any other detector of mmdet the first three.

    Args:
        model (nn.Module): The detector. Its methods are wrapped while ``running``.
    """

    def __init__(self, model: nn.Module) -> None:
        self.device = next(model.parameters()).device
        self.seconds: dict[str, float] = {}
        parts = [('pre-processing', model.data_preprocessor, 'forward')]
        parts += [(name, getattr(model, name, None), 'forward') for name in ('backbone', 'neck')]
        if isinstance(model, CenterMask):
            parts += [
                ('box head', model.bbox_head, 'forward'),
                ('decoding and NMS', model.bbox_head, 'predict_by_feat'),
            ]
            parts += [('mask branch', model.roi_head, 'predict_maps'), ('pasting', model.roi_head, 'finish')]
        self.parts = [part for part in parts if part[1] is not None]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time the stages of what is done inside."""
        self.seconds = {}
        before = []
        for stage, owner, name in self.parts:
            before.append((owner, name, owner.__dict__.get(name)))
            setattr(owner, name, self._timed(stage, getattr(owner, name)))
        try:
            yield
        finally:
            for owner, name, own in before:
                if own is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, own)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of what is done inside to a stage."""
        began = self.now()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + self.now() - began

    def now(self) -> float:
        """Return the time in seconds, once the device has done what it was asked for."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _timed(self, stage, method):
        def timed(*args, **kwargs):
            with self.stage(stage):
                return method(*args, **kwargs)

        return timed
