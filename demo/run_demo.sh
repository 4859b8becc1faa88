#!/usr/bin/env bash
# CenterMask learns to segment drawn shapes: data, training with evaluation, report. `make demo` runs it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

config=configs/centermask/centermask-lite_v19-slim-dw-ese_fpn_shapes.py
work_dir=work_dirs/demo
began=$SECONDS
started=$(mktemp)
teller=
trap 'rm -f "$started"; [ -z "$teller" ] || kill "$teller" 2>/dev/null || true' EXIT

step() {
  printf '\n== %s\n%s\n' "$1" "${*:2}"
  "${@:2}"
}

# the log's first line tells how fast this machine is
tell_time() {
  local eta=
  until [ -n "$eta" ]; do
    sleep 2
    eta=$(find "$work_dir" -name '*.log' -newer "$started" -exec sed -n 's/.* eta: \(.*[0-9]\)  time: .*/\1/p' {} + \
      2>/dev/null | head -n 1) || true
  done
  printf '\n== On this machine training takes %s more, by its first iterations; evaluations come on top.\n\n' "$eta"
}

step '1 of 4: draw the dataset' python tools/make_shapes.py data/shapes --train 1200 --val 100 --size 192 --seed 0
# two processes of one thread do more than one process of two
train=(env OMP_NUM_THREADS=1 bash tools/dist_train.sh "$config" 2 --work-dir "$work_dir")
tell_time &
teller=$!
step '2 of 4: train and evaluate; how long it takes here is said after the first iterations' "${train[@]}"
checkpoint=$work_dir/$(basename "$(cat "$work_dir/last_checkpoint")")
step '3 of 4: explain the errors' python tools/analyze.py "$config" "$checkpoint" --out "$work_dir/analysis" ||
  printf 'The report leaves the errors out.\n'
step '4 of 4: write the report' python tools/report.py "$work_dir"

printf '\nDone in %d minutes: look at %s/report.html\n' $(((SECONDS - began + 59) / 60)) "$work_dir"
