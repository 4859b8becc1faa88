"""What dist_train.sh and dist_test.sh share: starts SCRIPT on GPUS processes of this machine.

python tools/dist_run.py SCRIPT GPUS ARGUMENTS...

On several machines set NNODES, NODE_RANK, MASTER_ADDR and PORT (29500 by default; on one machine a free one).
"""

import logging
import os
import socket
import sys
from pathlib import Path

from torch.distributed import DistNetworkError
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

TOOLS = Path(__file__).resolve().parent


def free_port() -> int:
    """Return a port that nothing listens on, so that runs on one machine do not get into each other's way."""
    with socket.socket() as free:
        free.bind(('', 0))
        return free.getsockname()[1]


def run(script: str, gpus: str, arguments: list[str]) -> int:
    """Start the processes and wait for them; return the exit code of the first that failed, or 0."""
    env = os.environ
    nodes = env.get('NNODES') or '1'
    port = env.get('PORT') or ('29500' if nodes != '1' else str(free_port()))
    # what torchrun and mmengine choose themselves, with warnings
    env.setdefault('OMP_NUM_THREADS', '1')
    env.setdefault('MKL_NUM_THREADS', '1')
    env['PYTHONPATH'] = os.pathsep.join([str(TOOLS.parent), *filter(None, [env.get('PYTHONPATH')])])
    options = dict(nnodes=nodes, node_rank=env.get('NODE_RANK') or '0', master_port=port, nproc_per_node=gpus)
    options['master_addr'] = env.get('MASTER_ADDR') or '127.0.0.1'
    words = [f'--{name.replace("_", "-")}={value}' for name, value in options.items()]
    logging.disable()  # of torchrun, which repeats a failure in many lines
    try:
        main([*words, str(TOOLS / script), *arguments, '--launcher', 'pytorch'])
    except ChildFailedError as error:  # a process that raised or refused has said why
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            name = failure.signal_name()
            print(f'error: process {rank} was ended by {name}, for lack of memory perhaps.', file=sys.stderr)
        return abs(failure.exitcode)
    except DistNetworkError as error:
        reason = str(error).splitlines()[0].rstrip('.')
        print(f'error: the processes cannot meet at port {port} ({reason}): set PORT to a free one.', file=sys.stderr)
        return 1
    except (ValueError, AssertionError):  # a number of processes that is none
        print(f'error: GPUS is {gpus!r}: give the number of GPUs, or of processes on a CPU.', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(run(sys.argv[1], sys.argv[2], sys.argv[3:]))
