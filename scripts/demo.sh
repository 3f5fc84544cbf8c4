#!/usr/bin/env bash
# Shows what the toolkit does, without a model: starts the simulator, asks a question about each sample picture and
# prints the rows that come out. Takes no options; files go to ./demo-run/ and are made anew each time.
# usage: scripts/demo.sh
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

make_environment plain
out=demo-run
mkdir -p "$out"

# --port 0: any free port, which the simulator prints. PYTHONUNBUFFERED: so that it prints it at once.
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
[[ -n $url ]] || die "The simulator did not start; it said: $(cat "$out/simulator.log")" 1

printf '\nA simulator listens at %s. It is NO MODEL: it makes sentences of colours and sizes.\n\n' "$url"
# --fresh: start over what an earlier demonstration left in ./demo-run.
# --base-url, --model: where to ask, and which of the models there.
code=0
"$VENV/bin/persqa" run "$ROOT/persqa_client/samples/demo.jsonl" -o "$out/qa.jsonl" --fresh \
  --base-url "$url" --model demo-model || code=$?

printf '\nThe rows of %s:\n' "$out/qa.jsonl"
# -X utf8: two questions are Chinese, whatever the terminal's locale says.
"$VENV/bin/python" -X utf8 - "$out/qa.jsonl" <<'PY'
import json
import sys

for line in open(sys.argv[1], encoding="utf-8"):
    row = json.loads(line)
    question, _, answer = row["pers_qa"].removeprefix("Question: ").partition(", Answer: ")
    print(f"\n  {row['image'][0]}\n    Q: {question}\n    A: {answer}")
PY
cat <<'TEXT'

These answers come from the simulator. For real ones, start a model on a machine with a GPU:

  pip install vllm
  scripts/serve_vllm.sh                       # Qwen/Qwen2.5-VL-3B-Instruct at http://127.0.0.1:8000/v1

and then ask about your own pictures:

  .venv/bin/persqa doctor --base-url http://127.0.0.1:8000/v1
  .venv/bin/persqa run PHOTOS/ -o qa.jsonl --base-url http://127.0.0.1:8000/v1 --model Qwen/Qwen2.5-VL-3B-Instruct

TEXT
exit "$code"
