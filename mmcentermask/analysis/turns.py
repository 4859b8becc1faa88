"""Runs functions in turn, so that a busy moment of the machine falls on all of them."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch

__all__ = ['measure', 'median_times']


def measure(
    runs: Sequence[Callable[[], dict[str, float]]], repeats: int, told: Callable[[str], None] = print
) -> list[list[dict[str, float]]]:
    """Run functions in turn, so that a busy moment of the machine falls on all of them.

    Args:
        runs (Sequence[Callable]): Each returns the seconds of its stages, and runs once before, not counted.
        repeats (int): Counted runs of each.
        told (Callable): Gets a line on the progress. Defaults to print.

    Returns:
        list[list[dict]]: For each function its runs.
    """
    results = [[] for _ in runs]
    for repeat in range(repeats + 1):
        for result, run in zip(results, runs):
            seconds = run()
            if repeat > 0:
                result.append(seconds)
        told(f'round {repeat} of {repeats}' + (' (to warm up)' if repeat == 0 else ''))
    return results


def median_times(runs: Sequence[Callable[[], None]], repeats: int = 11) -> list[float]:
    """Time functions in turn.

    Args:
        runs (Sequence[Callable]): As from ``network_pass``; each runs once before, untimed.
        repeats (int): Timed runs of each. Defaults to 11.

    Returns:
        list[float]: Median time of each, in seconds.
    """
    results = measure([_timed(run) for run in runs], repeats, told=lambda line: None)
    return [statistics.median(seconds['run'] for seconds in result) for result in results]


def _timed(run: Callable[[], None]) -> Callable[[], dict[str, float]]:
    def timed() -> dict[str, float]:
        began = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return {'run': time.perf_counter() - began}

    return timed
