#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: starts SCRIPT on GPUS processes of this machine, with gloo where there is no GPU.
#   tools/dist_run.sh SCRIPT GPUS ARGUMENTS...
# On several machines set NNODES, NODE_RANK, MASTER_ADDR and PORT (29500 by default; on one machine a free one).
set -euo pipefail

script=$1
gpus=$2
shift 2
tools=$(cd "$(dirname "$0")" && pwd)

# without PORT, runs on one machine do not get into each other's way
if [ -z "${PORT:-}" ] && [ "${NNODES:-1}" = 1 ]; then
    PORT=$("${PYTHON:-python}" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
fi

# what torchrun and mmengine choose themselves, with warnings
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MKL_NUM_THREADS="${MKL_NUM_THREADS:-1}"
export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$gpus" \
    "$tools/$script" "$@" --launcher pytorch
