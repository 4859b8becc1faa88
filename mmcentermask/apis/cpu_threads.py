"""Chooses how many threads a run on CPU computes with."""

import os
from pathlib import Path

import torch

__all__ = ['set_cpu_threads']


def _quota() -> float:
    """Return how many CPUs' time the container may use, or infinity; cgroup 2 and 1."""
    for path in ('cpu.max', 'cpu/cpu.cfs_quota_us'):
        try:
            numbers = Path('/sys/fs/cgroup', path).read_text().split()
            period = numbers[1] if len(numbers) > 1 else Path('/sys/fs/cgroup/cpu/cpu.cfs_period_us').read_text()
            return int(numbers[0]) / int(period) if int(numbers[0]) > 0 else float('inf')
        except (OSError, ValueError, IndexError):  # 'max' is no number
            continue
    return float('inf')


def set_cpu_threads(processes: int = 1) -> int:
    """Let torch compute with as many threads as there are CPUs for it; more make it many times slower, not faster.

    ``OMP_NUM_THREADS`` of the environment has the first word. Otherwise each of several processes gets one thread, and
    a single one those CPUs which it may use (affinity, quota of the container) and others leave idle (load average).

    Args:
        processes (int): How many the run has on this machine. Defaults to 1.

    Returns:
        int: The number.

    >>> threads = set_cpu_threads()  # doctest: +SKIP
    """
    if os.environ.get('OMP_NUM_THREADS'):
        return torch.get_num_threads()
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else 0.0
    free = 1 if processes > 1 else int(min(_quota(), cpus - load, torch.get_num_threads()) + 0.5)
    torch.set_num_threads(max(1, free))
    return torch.get_num_threads()
