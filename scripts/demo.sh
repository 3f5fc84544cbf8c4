#!/usr/bin/env bash
# Shows what the toolkit does, without a model: starts the simulator, asks a question about each sample image and prints
# the resulting rows. Takes no options. The files in ./demo-run/ are overwritten.
# usage: scripts/demo.sh
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

make_environment plain
out=demo-run
mkdir -p "$out"

# --port 0: a free port, which the simulator prints. PYTHONUNBUFFERED: it prints it at once.
: >"$out/simulator.log"
PYTHONUNBUFFERED=1 "$VENV/bin/persqa" sim --port 0 --model demo-model >"$out/simulator.log" 2>&1 &
simulator=$!
trap 'kill "$simulator" 2>/dev/null || true; wait "$simulator" 2>/dev/null || true' EXIT

url=
for _ in $(seq 200); do
  url=$(grep -o 'http://[^ ]*/v1' "$out/simulator.log" | head -n 1 || true)
  [[ -n $url ]] && break
  kill -0 "$simulator" 2>/dev/null || break
  sleep 0.1
done
[[ -n $url ]] || die "The simulator did not start. Its output: $(cat "$out/simulator.log")" 1

printf '\nA simulator listens at %s. It is NOT A MODEL: its answers are made of colours and sizes.\n\n' "$url"
# --fresh: overwrite the output of an earlier demonstration.
# --base-url, --model: the endpoint, and one of its models.
code=0
"$VENV/bin/persqa" run "$ROOT/persqa_client/samples/demo.jsonl" -o "$out/qa.jsonl" --fresh \
  --base-url "$url" --model demo-model || code=$?

printf '\nThe rows of %s:\n' "$out/qa.jsonl"
# -X utf8: two questions are in Chinese, whatever the terminal's locale.
"$VENV/bin/python" -X utf8 - "$out/qa.jsonl" <<'PY'
import json
import sys

for line in open(sys.argv[1], encoding="utf-8"):
    row = json.loads(line)
    question, _, answer = row["pers_qa"].removeprefix("Question: ").partition(", Answer: ")
    print(f"\n  {row['image'][0]}\n    Q: {question}\n    A: {answer}")
PY
cat <<'TEXT'

These answers come from the simulator. For real answers, start a model on a machine with a GPU:

  pip install vllm
  scripts/serve_vllm.sh                       # Qwen/Qwen2.5-VL-3B-Instruct at http://127.0.0.1:8000/v1

and then run over your own images:

  .venv/bin/persqa doctor --base-url http://127.0.0.1:8000/v1
  .venv/bin/persqa run PHOTOS/ -o qa.jsonl --base-url http://127.0.0.1:8000/v1 --model Qwen/Qwen2.5-VL-3B-Instruct

TEXT
exit "$code"
