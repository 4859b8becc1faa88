#!/usr/bin/env bash
# CenterMask learns to segment drawn shapes: data, training with evaluation, pictures. `make demo` runs it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

config=configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_shapes.py
work_dir=work_dirs/demo
began=$SECONDS

step() {
  printf '\n== %s\n%s\n' "$1" "${*:2}"
  "${@:2}"
}

step '1 of 3: draw the data set' python tools/make_shapes.py data/shapes --train 1200 --val 100 --size 192 --seed 0
# two processes of one thread do more than one process of two
train=(env OMP_NUM_THREADS=1 bash tools/dist_train.sh "$config" 2 --work-dir "$work_dir")
step '2 of 3: train and evaluate, 8 to 13 minutes on 2 cores' "${train[@]}"
step '3 of 3: draw predictions and curves' \
  python demo/report.py "$config" "$work_dir/$(basename "$(cat "$work_dir/last_checkpoint")")" --work-dir "$work_dir" \
  --command "${train[*]}"

printf '\nDone in %d minutes: look at %s/summary.md, predictions.png and curves.png\n' \
  $(((SECONDS - began + 59) / 60)) "$work_dir"
