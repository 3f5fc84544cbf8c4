#!/usr/bin/env bash
# A worked example of a scripted batch: several inputs, each asked of several models, one output for each pair.
# usage: scripts/batch.sh [persqa run options]
#   scripts/batch.sh --seed 1 --details
# Give the same command again to go on after any stop: what is done is not asked again, and of finished outputs only
# the failed rows are tried once more. Copy this file and change the lists, or set the variables of the same meaning.
#
# To try it without a model, in another terminal:
#   persqa sim --model Qwen/Qwen2.5-VL-3B-Instruct --model Qwen/Qwen2.5-VL-7B-Instruct
#
# Exit codes: 0 all good, 1 some rows failed, 2 usage or configuration, 3 the server stayed away, 130 stopped.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

# JSONL files or folders of pictures. BATCH_INPUTS="a.jsonl photos" replaces the list.
INPUTS=(
  "$ROOT/persqa_client/samples/demo.jsonl"
  "$ROOT/persqa_client/samples"
)
# As the server calls them. BATCH_MODELS="model-a model-b" replaces the list.
MODELS=(
  "Qwen/Qwen2.5-VL-3B-Instruct"
  "Qwen/Qwen2.5-VL-7B-Instruct"
)
BASE_URL=${BATCH_BASE_URL:-http://127.0.0.1:8000/v1}
OUT=${BATCH_OUT:-demo-run/batch} # the folder of the outputs
KEY_ENV=${BATCH_KEY_ENV:-}       # the NAME of the variable that holds the key; empty: no key is sent
WAIT=${BATCH_WAIT:-60}           # seconds before a server that was away or refused is asked again
TRIES=${BATCH_TRIES:-10}         # how often it is asked in all
[[ -n ${BATCH_INPUTS:-} ]] && read -r -a INPUTS <<<"$BATCH_INPUTS"
[[ -n ${BATCH_MODELS:-} ]] && read -r -a MODELS <<<"$BATCH_MODELS"

options=(--base-url "$BASE_URL" "$@")
[[ -n $KEY_ENV ]] && options+=(--api-key-env "$KEY_ENV")

# The installed command, else this checkout's.
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

# Runs a command so that a signal to this script reaches it exactly once; leaves its exit code in $code.
watch() {
  set -m # a process group of its own: Ctrl-C on the terminal comes to this script alone, which passes it on
  "$@" &
  set +m
  child=$! code=0
  wait "$child" || code=$?
  while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done # the first wait ends with the signal
  child=''
  if [[ -n $stopping ]]; then code=130; fi
}

# "photos/may 2024.jsonl", "Qwen/Qwen2.5-VL-3B" -> photos_may_2024.Qwen_Qwen2.5-VL-3B.jsonl
output_of() {
  local input=${1#"$ROOT/"}
  input=${input%/}
  input=${input%.jsonl}
  printf '%s/%s.%s.jsonl' "$OUT" "${input//[^A-Za-z0-9._-]/_}" "${2//[^A-Za-z0-9._-]/_}"
}

# ask INPUT MODEL OUTPUT: one run, patiently; leaves its exit code in $code.
ask() {
  local try
  for ((try = 1; try <= TRIES; try++)); do
    watch "$persqa" run "$1" -o "$3" --model "$2" "${options[@]}"
    if ((code == 1)); then
      say "$3: some rows failed; they are tried once more."
      watch "$persqa" run "$1" -o "$3" --model "$2" "${options[@]}" --retry-failed
    fi
    ((code == 3 && try < TRIES)) || return 0
    say "$3: the server is away or refuses; asking again in $WAIT s (try $try of $TRIES). Ctrl-C stops, and loses nothing."
    watch sleep "$WAIT"
    if [[ -n $stopping ]]; then return 0; fi
  done
}

lines() { if [[ -f $1 ]]; then grep -c '' "$1" || true; else echo 0; fi; }

print_table() {
  local input model output failed state
  printf '\n%8s %8s  %-11s %s\n' good failed state output
  for input in "${INPUTS[@]}"; do
    for model in "${MODELS[@]}"; do
      output=$(output_of "$input" "$model")
      failed=${output%.jsonl}.failed.jsonl state='not begun'
      # While a run is under way, its two files have .partial behind their names.
      [[ -f $output.partial ]] && state='to go on' output+=.partial failed+=.partial
      [[ -f $output ]] && [[ $state == 'not begun' ]] && state=finished
      printf '%8s %8s  %-11s %s\n' "$(lines "$output")" "$(lines "$failed")" "$state" "$output"
    done
  done
}

worst=0
run_all() {
  local input model output
  for input in "${INPUTS[@]}"; do
    for model in "${MODELS[@]}"; do
      output=$(output_of "$input" "$model")
      say "== $input, $model"
      ask "$input" "$model" "$output"
      case $code in
        0) ;;
        1)
          say "$output: what still failed stands in ${output%.jsonl}.failed.jsonl, with reasons."
          worst=1
          ;;
        # 2: a setting or a file is wrong, and would be for the next pair. 3: the server stayed away. 130: stopped.
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
  130) say "Stopped. Give the same command again to go on." ;;
  *) say "Ended early with code $worst: see the sentence above, then give the same command again to go on." ;;
esac
exit "$worst"
