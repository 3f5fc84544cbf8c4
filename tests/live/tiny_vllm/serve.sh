#!/usr/bin/env bash
# Serves the tiny checkpoint with the real vLLM. Runs in the foreground, and prints READY when /health answers.
# usage: serve.sh PORT [vllm serve options]
# TINY_VLLM_HOME: the folder that setup.sh has made, default ~/.cache/tiny-vllm.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${TINY_VLLM_HOME:-$HOME/.cache/tiny-vllm}
port=${1:-8000}
shift || true
"$here/setup.sh" "$home" >&2

# No model hub, no usage reports, and 1 GiB of KV cache, which is enough.
export HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 VLLM_CPU_KVCACHE_SPACE=1
export PATH=$home/venv/bin:$PATH

server=$$ # the process that becomes vllm
(
  while kill -0 "$server" 2>/dev/null; do
    "$home/venv/bin/python" - "$port" <<'PY' && echo READY && exit 0
import sys
import urllib.request

try:
    urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/health", timeout=2).close()
except OSError:
    sys.exit(1)
PY
    sleep 1
  done
) &

# --enforce-eager: no compilation, which takes longer than all tests. The other options are those of
# scripts/serve_vllm.sh, so that they are tested.
exec "$here/../../../scripts/serve_vllm.sh" "$home/model" --device cpu --port "$port" \
  --served-model-name Qwen/Qwen2.5-VL-3B-Instruct --max-num-seqs 32 --enforce-eager "$@"
