#!/usr/bin/env bash
# What slurm_train.sh and slurm_test.sh share:
#   tools/slurm_run.sh SCRIPT PARTITION JOB_NAME ARGUMENTS...
set -euo pipefail

script=$1
partition=$2
job=$3
shift 3
tools=$(cd "$(dirname "$0")" && pwd)
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
if [ "$gpus" -lt "$per_node" ]; then
    per_node=$gpus
fi

export PYTHONPATH="$tools/..${PYTHONPATH:+:$PYTHONPATH}"
# SRUN_ARGS holds several words
# shellcheck disable=SC2086
exec srun --partition="$partition" --job-name="$job" \
    --ntasks="$gpus" --ntasks-per-node="$per_node" --gres="gpu:$per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$tools/$script" "$@" --launcher slurm
