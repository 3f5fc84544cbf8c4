#!/usr/bin/env bash
# Loads exports with the programs that they are for: makes a run on the simulator, exports it to each format, and loads
# each export in an environment with its consumer, on the CPU, with the pictures decoded. Prints a line for each export.
# usage: scripts/load_exports.sh [--folder DIR] [CONSUMER …]
#   scripts/load_exports.sh                      all consumers: datasets webdataset openai trl llamafactory ms-swift axolotl
#   scripts/load_exports.sh datasets trl         two of them
# The environments take about 9 GB, and stay in DIR (default: persqa-consumers in the temporary folder). What is installed
# there is not installed again: remove DIR for newer versions.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

folder=${TMPDIR:-/tmp}/persqa-consumers
if [[ ${1:-} == --folder ]]; then
  [[ -n ${2:-} ]] || die "--folder needs a folder."
  folder=$2
  shift 2
fi
consumers=("$@")
((${#consumers[@]})) || consumers=(datasets webdataset openai trl llamafactory ms-swift axolotl)
for name in "${consumers[@]}"; do
  [[ -f $ROOT/scripts/consumers/load_${name//-/_}.py ]] || die "There is no consumer $name; see scripts/load_exports.sh --help."
done

# With torch, and what the templates of Qwen's models need.
torch="torch==$TORCH_VERSION torchvision==$TORCHVISION_VERSION"
declare -A packages=(
  [datasets]="datasets pillow"
  [webdataset]="webdataset pillow"
  [openai]="openai pillow"
  [trl]="$torch trl pillow"
  [llamafactory]="$torch llamafactory"
  [ms-swift]="$torch ms-swift qwen-vl-utils decord"
  [axolotl]="$torch axolotl"
)

make_environment dev # with pyarrow
mkdir -p "$folder"
# A cache of its own, no hubs, and no reports of use.
export HF_HOME=$folder/cache MODELSCOPE_CACHE=$folder/cache HF_HUB_OFFLINE=1 DO_NOT_TRACK=1 AXOLOTL_DO_NOT_TRACK=1
export CUDA_VISIBLE_DEVICES= TOKENIZERS_PARALLELISM=false
unset PYTHONPATH
rm -rf "$HF_HOME"

say "Exporting a run of the simulator to $folder/exports …"
"$VENV/bin/python" "$ROOT/scripts/consumers/make_exports.py" "$folder/exports" >&2

code=0
printf '| consumer | what loads it | export | rows | pictures | |\n| --- | --- | --- | --- | --- | --- |\n'
for name in "${consumers[@]}"; do
  home=$folder/$name
  python=$home/venv/bin/python
  if ! cmp -s "$home/packages" <(printf '%s\n' "${packages[$name]}"); then
    say "Installing $name into $home/venv …"
    mkdir -p "$home"
    make_venv "$home/venv"
    # shellcheck disable=SC2086 # several packages
    retry "$python" -m pip install --quiet --disable-pip-version-check ${packages[$name]} ||
      die "The packages of $name could not be installed: see pip's messages above."
    [[ ${packages[$name]} != *torchvision* ]] || "$python" "$ROOT/scripts/consumers/declare_operators.py"
    printf '%s\n' "${packages[$name]}" >"$home/packages"
  fi
  checkpoint=()
  if [[ ${packages[$name]} == *torch* ]]; then
    # A tokenizer and an image processor are needed, and no weights. The folder is made anew for the versions at hand.
    checkpoint=("$home/checkpoint")
    "$python" "$ROOT/tests/live/tiny_vllm/make_checkpoint.py" "$home/checkpoint" >"$home/checkpoint.log" 2>&1 ||
      die "The tokenizer and the processor of $name could not be made: see $home/checkpoint.log." 1
  fi
  "$python" "$ROOT/scripts/consumers/load_${name//-/_}.py" "$folder/exports" "${checkpoint[@]}" 2>"$home/messages.log" || {
    code=1
    say "What $name said is in $home/messages.log."
  }
done
exit "$code"
