"""Starts a run, in one process or many, and ends it with one sentence where the user's input is at fault."""

import argparse
import os
import sys
from collections.abc import Callable

import torch.distributed as torch_dist
from mmdet.registry import RUNNERS
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, get_rank, init_dist, is_distributed
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing

from ..errors import InputError

__all__ = ['add_run_options', 'build_runner', 'check_least', 'check_once', 'report_input_errors', 'start_processes']


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing share, with the names they have in mmdet.

    Args:
        parser (ArgumentParser): Changed in place.
    """
    parser.add_argument('--work-dir', help='folder to write to (default: work_dirs/NAME_OF_THE_CONFIG)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='parts of the config to override, such as data_root=FOLDER model.num_classes=1; lists as key="[a,b]"',
    )
    parser.add_argument('--no-check', action='store_true', help='begin without a look at the annotations and images')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torch.distributed.launch passes it, torchrun sets the environment variable
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def check_least(args: argparse.Namespace, **least: float) -> None:
    """Check that numbers of the command line are not too small.

    Args:
        args (argparse.Namespace): The command line; an option that is None was not given.
        **least (float): Option -> its least value.

    Raises:
        InputError: If one is less.
    """
    for option, smallest in least.items():
        value = getattr(args, option)
        if value is not None and value < smallest:
            raise InputError(f'--{option} is {value}: give {smallest} or more.')


def start_processes(cfg: Config, launcher: str, local_rank: int = 0) -> None:
    """Join the processes of a distributed run.

    mmengine's own way asks for an accelerator. Without one the processes talk through gloo, and the model is
    wrapped without device ids.

    Args:
        cfg (Config): The config, changed in place.
        launcher (str): ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
        local_rank (int): Number of the process on its machine, where the environment does not say.

    Raises:
        InputError: If the launcher did not start this process, or needs an accelerator.
    """
    cfg.launcher = launcher
    if launcher == 'none':
        return
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    if launcher == 'pytorch' and 'RANK' not in os.environ:
        raise InputError('--launcher pytorch is for processes that torchrun started: use tools/dist_train.sh.')
    env_cfg = cfg.get('env_cfg') or {}
    # as the Runner would, which must not find another start method
    set_multi_processing(**env_cfg.get('mp_cfg', {}), distributed=True)
    if get_device() != 'cpu':
        init_dist(launcher, **env_cfg.get('dist_cfg', {}))
        return
    if launcher != 'pytorch':
        raise InputError(f'--launcher {launcher} needs an accelerator, and there is none here: use --launcher pytorch.')
    torch_dist.init_process_group(backend='gloo')
    cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)


def check_once(check: Callable[[Config], None], cfg: Config) -> None:
    """Check the input in the first process, and let every process stop where it fails.

    Args:
        check (Callable): Raises InputError on bad input.
        cfg (Config): Its argument.

    Raises:
        InputError: In every process, if the check raised it in the first.
    """
    if not is_distributed():
        check(cfg)
        return
    found = [None]
    if get_rank() == 0:
        try:
            check(cfg)
        except InputError as error:
            found = [str(error)]
    broadcast_object_list(found)
    if found[0] is not None:
        raise InputError(found[0])


def build_runner(cfg: Config) -> Runner:
    """Build the Runner that the config asks for: ``runner_type``, or mmengine's.

    Args:
        cfg (Config): The config.

    Returns:
        Runner: Ready to train or test.
    """
    setup_cache_size_limit_of_dynamo()
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


def report_input_errors(job: Callable[[argparse.Namespace], None], args: argparse.Namespace) -> int:
    """Run a command; bad input gives one sentence on stderr, any other error keeps its traceback.

    Args:
        job (Callable): What to do.
        args (Namespace): The command line, its argument.

    Returns:
        int: Exit code, 0 or 1.
    """
    try:
        job(args)
    except InputError as error:
        if get_rank() == 0:
            print(f'error: {error}', file=sys.stderr, flush=True)
        return 1
    finally:
        # an unexpected error may have left the others waiting in the middle of a collective call
        if sys.exc_info()[0] is None and torch_dist.is_available() and torch_dist.is_initialized():
            torch_dist.destroy_process_group()
    return 0
