#!/usr/bin/env bash
# Evaluates on GPUS processes of this machine, with gloo where there is no GPU:
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# On several machines set NNODES, NODE_RANK, MASTER_ADDR and PORT.
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    exit 2
fi
exec "${PYTHON:-python}" "$(dirname "$0")/dist_run.py" test.py "$3" "$1" "$2" "${@:4}"
