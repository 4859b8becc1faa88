#!/usr/bin/env bash
# What dist_train.sh and dist_test.sh share: starts SCRIPT on GPUS processes of this machine, with gloo where there is no GPU.
#   tools/dist_run.sh SCRIPT GPUS ARGUMENTS...
# On several machines set NNODES, NODE_RANK, MASTER_ADDR and PORT.
set -euo pipefail

script=$1
gpus=$2
shift 2
tools=$(cd "$(dirname "$0")" && pwd)

export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$gpus" \
    "$tools/$script" "$@" --launcher pytorch
