"""Goes on with the training batches where an interrupted run stopped, without loading those before."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmengine.dataset import InfiniteSampler
from mmengine.runner import IterBasedTrainLoop
from torch.utils.data import BatchSampler, DataLoader


def sampler_of(dataloader: DataLoader) -> Any:
    """Return what orders the samples of a data loader, below whatever makes batches of them."""
    return getattr(dataloader.batch_sampler, 'sampler', dataloader.sampler)


class _LaterBatches(BatchSampler):
    """A batch sampler without its first ``skip`` batches."""

    def __init__(self, batch_sampler: BatchSampler, skip: int) -> None:
        super().__init__(batch_sampler.sampler, batch_sampler.batch_size, batch_sampler.drop_last)
        self._batches = itertools.islice(iter(batch_sampler), skip, None)

    def __iter__(self) -> Iterator[list[int]]:
        return self._batches


class _ResumedBatches:
    """Batches of which mmengine's newer loops skip some by ``skip_iter``, while the older ones take and drop them."""

    def __init__(self, batches: Iterator) -> None:
        self._batches = batches

    def skip_iter(self, num_iters: int) -> None:
        """Skip ``num_iters`` batches."""
        for _ in range(num_iters):
            next(self._batches)

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        return next(self._batches)


def resume_batches(loop: IterBasedTrainLoop, seed: int | None, ready: Callable[[], None]) -> None:
    """Let a training loop go on with the batches of the run that it resumes.

    With mmengine's InfiniteSampler, alone or below mmdet's AspectRatioBatchSampler, nothing is loaded for the
    batches that are skipped; with other samplers mmengine skips in its own way, which may load them.

    Args:
        loop (IterBasedTrainLoop): Resumed, not running yet; its ``dataloader_iterator`` is replaced.
        seed (int, optional): Seed of the earlier run's sampler, or None to leave the sampler's own.
        ready (Callable): Called right before the first batch is made, without arguments.
    """
    loader = loop.dataloader
    skip = 0 if getattr(loop, 'fast_forward_on_resume', False) else loop.iter  # the user may want to begin anew
    sampler, batch_sampler = sampler_of(loader), loader.batch_sampler
    if seed is not None and hasattr(sampler, 'seed'):
        sampler.seed = seed
    # the loop may have begun to take batches, in an order that is not the earlier run's
    begin = type(loop.dataloader_iterator)
    loop.dataloader_iterator = None
    vars(loader)['_iterator'] = None
    if type(sampler) is InfiniteSampler and type(batch_sampler) in (BatchSampler, AspectRatioBatchSampler):
        whole = InfiniteSampler(sampler.dataset, shuffle=sampler.shuffle, seed=sampler.seed)
        whole = type(batch_sampler)(whole, batch_sampler.batch_size, batch_sampler.drop_last)
        # a plain assignment is refused, since iterators may be under way: here there are none
        vars(loader)['batch_sampler'] = _LaterBatches(whole, skip)
        batches = iter(loader)
    else:
        batches = begin(loader)
        if hasattr(batches, 'skip_iter'):
            batches.skip_iter(skip)
        else:
            for _ in range(skip):
                next(batches)

    def resumed() -> Iterator:
        yield from itertools.repeat(None, skip)  # which the loop is going to skip
        ready()
        yield from batches

    loop.dataloader_iterator = _ResumedBatches(resumed())
