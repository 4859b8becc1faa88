"""Times the stages of a detector, and several detectors interleaved."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from mmcentermask.models import CenterMask, PanopticCenterMask

__all__ = ['STAGES', 'StageTimer', 'time_interleaved']

STAGES = (
    'pre-processing',
    'backbone',
    'neck',
    'box head',
    'decoding and NMS',
    'mask branch',
    'pasting',
    'semantic branch',
    'fusion',
    'graph and pasting',
    'other',
    'encoding',
)


class StageTimer:
    """Adds up the seconds that a detector spends in each stage.

    Of a CenterMask these are the pre-processing on its device, backbone, neck, box head, decoding and NMS, mask branch
    and pasting, and of a panoptic one semantic branch and fusion, too; of any other detector of mmdet the first three.
    On a GPU each stage ends with a synchronization.

    Args:
        model (nn.Module): The detector. Its methods are wrapped while ``running``.

    >>> timer = StageTimer(model)  # doctest: +SKIP
    >>> with timer.running():  # doctest: +SKIP
    ...     model.test_step(data)
    >>> timer.seconds['backbone']  # doctest: +SKIP
    0.38
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
                ('mask branch', model.roi_head, 'predict_maps'),
                ('pasting', model.roi_head, 'finish'),
            ]
        if isinstance(model, PanopticCenterMask):
            parts += [
                ('semantic branch', model.semantic_head, 'predict'),
                ('fusion', model.panoptic_fusion_head, 'predict'),
            ]
        self.parts = [part for part in parts if part[1] is not None]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Time the stages of what is done inside, from zero."""
        self.seconds = {}
        for stage, owner, name in self.parts:
            setattr(owner, name, self._timed(stage, getattr(owner, name)))  # hides the method of the class
        try:
            yield
        finally:
            for _, owner, name in self.parts:
                delattr(owner, name)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of what is done inside to a stage."""
        began = self.now()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + self.now() - began

    def now(self) -> float:
        """Return the time in seconds, once the device has finished its work."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def _timed(self, stage: str, method: Callable) -> Callable:
        def timed(*args, **kwargs):
            with self.stage(stage):
                return method(*args, **kwargs)

        return timed


def time_interleaved(
    runs: Sequence[Callable[[], dict[str, float]]], repeats: int, warmups: int = 0
) -> list[list[dict[str, float]]]:
    """Time functions interleaved, A B C A B C ..., so that a busy moment of the machine falls on all of them.

    The first round is not counted. Progress is printed.

    Args:
        runs (Sequence[Callable]): Each returns the seconds of its stages.
        repeats (int): Counted runs of each.
        warmups (int): Uncounted runs before each counted one, for what finds caches and memory as the function before
            left them. Defaults to 0.

    Returns:
        list[list[dict]]: For each function its counted runs.
    """
    results = [[] for _ in runs]
    for repeat in range(repeats + 1):
        for result, run in zip(results, runs):
            for _ in range(warmups):
                run()
            seconds = run()
            if repeat > 0:
                result.append(seconds)
        print(f'round {repeat} of {repeats}' + (' (warm-up)' if repeat == 0 else ''), flush=True)
    return results
