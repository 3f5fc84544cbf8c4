#!/usr/bin/env bash
# An example of a scripted batch: each of several inputs with each of several models, one output per pair.
# usage: scripts/batch.sh [persqa run options]
#   scripts/batch.sh --seed 1 --details
# Run the same command again to continue after any stop: finished rows are not requested again, and for finished outputs
# only the failed rows are retried. Copy this file and change the lists, or set the variables BATCH_*.
#
# To try it without a model, in another terminal:
#   persqa sim --model Qwen/Qwen2.5-VL-3B-Instruct --model Qwen/Qwen2.5-VL-7B-Instruct
#
# Exit codes: 0 all rows are good, 1 some rows failed, 2 usage or configuration, 3 server unavailable, 130 stopped.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

# JSONL files or folders of images. BATCH_INPUTS="a.jsonl photos" replaces the list.
INPUTS=(
  "$ROOT/persqa_client/samples/demo.jsonl"
  "$ROOT/persqa_client/samples"
)
# Names as the server lists them. BATCH_MODELS="model-a model-b" replaces the list.
MODELS=(
  "Qwen/Qwen2.5-VL-3B-Instruct"
  "Qwen/Qwen2.5-VL-7B-Instruct"
)
BASE_URL=${BATCH_BASE_URL:-http://127.0.0.1:8000/v1}
OUT=${BATCH_OUT:-demo-run/batch} # the folder of the outputs
KEY_ENV=${BATCH_KEY_ENV:-}       # the NAME of the variable with the key; empty: no key is sent
WAIT=${BATCH_WAIT:-60}           # seconds between attempts where the server is unavailable
TRIES=${BATCH_TRIES:-10}         # attempts per output
[[ -n ${BATCH_INPUTS:-} ]] && read -r -a INPUTS <<<"$BATCH_INPUTS"
[[ -n ${BATCH_MODELS:-} ]] && read -r -a MODELS <<<"$BATCH_MODELS"

options=(--base-url "$BASE_URL" "$@")
[[ -n $KEY_ENV ]] && options+=(--api-key-env "$KEY_ENV")

# The installed command, or else this checkout's.
if command -v persqa >/dev/null; then
  persqa=persqa
else
  make_environment plain
  persqa=$VENV/bin/persqa
fi

child='' stopping=''
stop() {
  stopping=yes
  if [[ -n $child ]]; then kill -TERM "$child" 2>/dev/null || true; fi
}
trap stop INT TERM HUP

# run_child COMMAND …: a signal to this script reaches the command exactly once. Sets $code to its exit code.
run_child() {
  set -m # in a process group of its own, the command gets Ctrl-C only from this script
  "$@" &
  set +m
  child=$! code=0
  wait "$child" || code=$?
  while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done # a signal interrupts the first wait
  child=''
  if [[ -n $stopping ]]; then code=130; fi
}

# "photos/may 2024.jsonl", "Qwen/Qwen2.5-VL-3B" -> photos_may_2024.Qwen_Qwen2.5-VL-3B.jsonl
output_path() {
  local input=${1#"$ROOT/"}
  input=${input%/}
  input=${input%.jsonl}
  printf '%s/%s.%s.jsonl' "$OUT" "${input//[^A-Za-z0-9._-]/_}" "${2//[^A-Za-z0-9._-]/_}"
}

# run_pair INPUT MODEL OUTPUT: one run, repeated while the server is unavailable. Sets $code to its exit code.
run_pair() {
  local try
  for ((try = 1; try <= TRIES; try++)); do
    run_child "$persqa" run "$1" -o "$3" --model "$2" "${options[@]}"
    if ((code == 1)); then
      say "$3: some rows failed; they are retried once."
      run_child "$persqa" run "$1" -o "$3" --model "$2" "${options[@]}" --retry-failed
    fi
    ((code == 3 && try < TRIES)) || return 0
    say "$3: the server is unavailable; next attempt in $WAIT s (attempt $try of $TRIES). Ctrl-C stops without loss."
    run_child sleep "$WAIT"
    if [[ -n $stopping ]]; then return 0; fi
  done
}

count_lines() { if [[ -f $1 ]]; then grep -c '' "$1" || true; else echo 0; fi; }

print_table() {
  local input model output failed state
  printf '\n%8s %8s  %-11s %s\n' good failed state output
  for input in "${INPUTS[@]}"; do
    for model in "${MODELS[@]}"; do
      output=$(output_path "$input" "$model")
      failed=${output%.jsonl}.failed.jsonl state='not started'
      # The two files of an unfinished run end in .partial.
      [[ -f $output.partial ]] && state='unfinished' output+=.partial failed+=.partial
      [[ -f $output ]] && [[ $state == 'not started' ]] && state=finished
      printf '%8s %8s  %-11s %s\n' "$(count_lines "$output")" "$(count_lines "$failed")" "$state" "$output"
    done
  done
}

worst=0
run_all() {
  local input model output
  for input in "${INPUTS[@]}"; do
    for model in "${MODELS[@]}"; do
      output=$(output_path "$input" "$model")
      say "== $input, $model"
      run_pair "$input" "$model" "$output"
      case $code in
        0) ;;
        1)
          say "$output: the rows that still failed are in ${output%.jsonl}.failed.jsonl, with the reasons."
          worst=1
          ;;
        # 2: a wrong setting or file, also for the next pair. 3: the server is unavailable. 130: stopped.
        *)
          worst=$code
          return 0
          ;;
      esac
    done
  done
}

mkdir -p "$OUT"
run_all
print_table
case $worst in
  0 | 1) ;;
  130) say "Stopped. Run the same command again to continue." ;;
  *) say "Ended early with code $worst: see the message above, correct its cause, then run the same command again to continue." ;;
esac
exit "$worst"
