#!/usr/bin/env bash
#SBATCH --job-name=persqa
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@90
# An example of a Slurm array: each task makes one shard of a data set; a last job merges them.
# usage: sbatch --array=1-N scripts/slurm_array.sh INPUT OUT.jsonl [persqa run options]
#   job=$(sbatch --parsable --array=1-16 --gpus=1 scripts/slurm_array.sh photos qa.jsonl --serve Qwen/Qwen2.5-VL-3B-Instruct)
#   sbatch --dependency="afterany:$job" --wrap "persqa merge qa.shard-*.jsonl -o qa.jsonl"
#
# The shards are qa.shard-1.jsonl to qa.shard-16.jsonl, beside the output. A task that was stopped, also by its time
# limit, continues with the same command: SHARDS=16 sbatch --array=3,7 scripts/slurm_array.sh … starts two of them again.
# A task with failed rows ends with 1, as persqa run does; they are in qa.shard-N.failed.jsonl. The last job is therefore
# started after any end of the tasks: persqa merge refuses shards that are missing or not finished.
#
# SHARDS         number of shards; needed if not all tasks of the array are started
# SHARE_LIMITS   if set, each task has 1/SHARDS of --rpm, --tpm and so on: for tasks that use one account
#
# To try it without Slurm, with any endpoint:
#   for n in 1 2; do SHARDS=2 SLURM_ARRAY_TASK_ID=$n scripts/slurm_array.sh photos qa.jsonl --base-url URL; done
#
# Exit codes of a task: 0 finished, 1 finished with failed rows, 2 usage or configuration, 3 server unavailable, 130 stopped.
set -euo pipefail

case ${1:-} in -h | --help) sed -n '/^# An/,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

if (($# < 2)) || [[ -z ${SLURM_ARRAY_TASK_ID:-} ]]; then
  echo "Give an input and an output, and start it as a Slurm array; --help tells how." >&2
  exit 2
fi
input=$1 output=$2
shift 2
shards=${SHARDS:-${SLURM_ARRAY_TASK_MAX:?set SHARDS to the number of shards}}
shard=$SLURM_ARRAY_TASK_ID/$shards

options=(--shard "$shard" -o "${output%.jsonl}.shard-$SLURM_ARRAY_TASK_ID.jsonl" "$@")
if [[ -n ${SHARE_LIMITS:-} ]]; then options+=(--limits-share "$shard"); fi

# Slurm signals this shell alone, 90 seconds before the time limit; the requests in flight are then finished.
persqa run "$input" "${options[@]}" &
child=$! signalled=''
trap 'signalled=yes; kill -TERM "$child" 2>/dev/null || true' TERM INT
code=0
wait "$child" || code=$?
while [[ -n $signalled ]] && ((code > 128)); do # a signal has interrupted the wait
  signalled='' code=0
  wait "$child" || code=$?
done
exit "$code"
