"""Starts a run, in one process or many, and ends it with one sentence where the user's input is at fault."""

import argparse
import atexit
import os
import sys
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as torch_dist
from mmdet.registry import RUNNERS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import get_rank, init_dist, is_distributed
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing

from ..errors import ImageError, InputError
from .quiet_runner import QuietRunner

__all__ = ['build_runner', 'check_least', 'check_once', 'end_processes', 'report_input_errors', 'start_processes']

_lent_group = False  # whether the processes were joined before, by Ray Train say, which will end them
_PATIENCE = timedelta(days=1)  # of the processes that wait for the first one's checks


def check_least(args: argparse.Namespace, **least: float) -> None:
    """Check that numbers of the command line, option -> its least value, are not too small; None was not given.

    Raises:
        InputError: If one is less.
    """
    for option, smallest in least.items():
        value = getattr(args, option)
        if value is not None and not value >= smallest:  # nor NaN
            raise InputError(f'--{option.replace("_", "-")} is {value}: give {smallest} or more.')


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

    ``OMP_NUM_THREADS`` of the environment has the first word. Otherwise each of several ``processes`` on this machine
    gets one thread, and a single one those CPUs which it may use (affinity, quota of the container) and others leave
    idle (load average). The number is returned.
    """
    if os.environ.get('OMP_NUM_THREADS'):
        return torch.get_num_threads()
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else 0.0
    free = 1 if processes > 1 else int(min(_quota(), cpus - load, torch.get_num_threads()) + 0.5)
    torch.set_num_threads(max(1, free))
    return torch.get_num_threads()


def start_processes(cfg: Config, launcher: str, local_rank: int = 0) -> None:
    """Join the processes of a distributed run.

    mmengine's own way asks for an accelerator. Without one the processes talk through gloo, and the model is
    wrapped without device ids. Processes that are joined already, by Ray Train say, are taken as they are.

    Args:
        cfg (Config): The config, changed in place.
        launcher (str): ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``; of no account where they are joined.
        local_rank (int): Number of the process on its machine, where the environment does not say.

    Raises:
        InputError: If the launcher did not start this process, or needs an accelerator.
    """
    global _lent_group
    _lent_group = is_distributed()
    cfg.launcher = launcher = 'pytorch' if _lent_group else launcher
    if get_device() == 'cpu':
        set_cpu_threads(1 if launcher == 'none' else 2)
        if 'dist_cfg' in (cfg.get('env_cfg') or {}):
            cfg.env_cfg.dist_cfg = dict(backend='gloo')
    if launcher == 'none':
        return
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    if launcher == 'pytorch' and 'RANK' not in os.environ and not _lent_group:
        raise InputError('--launcher pytorch is for processes that torchrun started: use tools/dist_train.sh.')
    env_cfg = cfg.get('env_cfg') or {}
    for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
        os.environ.setdefault(name, '1')  # as mmengine does with two long warnings
    # as the Runner would, which must not find another start method
    set_multi_processing(**env_cfg.get('mp_cfg', {}), distributed=True)
    if get_device() != 'cpu':
        if not _lent_group:
            init_dist(launcher, **env_cfg.get('dist_cfg', {}))
        return
    if launcher != 'pytorch':
        raise InputError(f'--launcher {launcher} needs an accelerator, and there is none here: use --launcher pytorch.')
    if not _lent_group:
        torch_dist.init_process_group(backend='gloo')
    cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)


def check_once(cfg: Config, *checks: Callable[[Config], None]) -> None:
    """Check the config in the first process, and let every process stop where a check raises InputError."""
    if not is_distributed():
        for check in checks:
            check(cfg)
        return
    # the limit of the default group, 10 or 30 minutes, is too short for the annotations of a million images
    group = torch_dist.new_group(backend='gloo', timeout=_PATIENCE)
    found = [None]
    if get_rank() == 0:
        try:
            for check in checks:
                check(cfg)
        except InputError as error:
            found = [str(error)]
    torch_dist.broadcast_object_list(found, group=group)
    torch_dist.destroy_process_group(group)
    if found[0] is not None:
        raise InputError(found[0])


def build_runner(cfg: Config) -> Runner:
    """Build the Runner that the config asks for: ``runner_type``, or mmengine's with a quiet start."""
    setup_cache_size_limit_of_dynamo()
    return RUNNERS.build(cfg) if 'runner_type' in cfg else QuietRunner.from_cfg(cfg)


def report_input_errors(job: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> int:
    """Run a command with its arguments; bad input gives one sentence on stderr, any other error keeps its traceback.

    Returns:
        int: Exit code, 0 or 1.
    """
    code = 0
    # of torch, on what no user can change
    warnings.filterwarnings('ignore', 'torch.meshgrid|.*`broadcast_buffers` is deprecated|Grad strides do not match')
    try:
        job(args)
    except InputError as error:
        code = 1
        # what one process finds in its own images, the first one does not know
        if _rank(args) == 0 or isinstance(error, ImageError):
            print(f'error: {error}', file=sys.stderr, flush=True)
    # after an unexpected error the others may wait in the middle of a collective call: nothing is ended in order
    end_processes(code)
    return code


def _rank(args: argparse.Namespace) -> int:
    """Return the number of this process, also before it has joined the others."""
    if is_distributed() or getattr(args, 'launcher', 'none') == 'none':
        return get_rank()
    return int(os.environ.get('RANK') or os.environ.get('SLURM_PROCID') or os.environ.get('OMPI_COMM_WORLD_RANK') or 0)


def end_processes(code: int) -> None:
    """Leave the processes of a distributed run; those that talk through gloo end here, unless another joined them.

    Threads of gloo outlive ``destroy_process_group`` where a model was wrapped. They may let go of a tensor while the
    interpreter ends, which brings the process down with a core dump. So the interpreter is not ended. With the exit
    code 0, all processes wait for each other.
    """
    if not is_distributed() or _lent_group:
        return
    if code == 0:
        torch_dist.barrier()
    if torch_dist.get_backend() != 'gloo':
        torch_dist.destroy_process_group()
        return
    atexit._run_exitfuncs()  # as the interpreter would: workers of data loaders end, and logs are written
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
