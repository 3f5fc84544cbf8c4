#!/usr/bin/env bash
# Runs the tests of --engine ray and persqa_client.ray on a Ray cluster of three nodes on this machine, in the
# environment .venv-ray. Takes about five minutes and 3 GB of memory; the first time, Ray is installed (300 MB).
# usage: scripts/test_ray.sh [pytest options]
# PYTHON names the interpreter for .venv-ray if python3 is older than 3.11.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

VENV=$ROOT/.venv-ray
make_environment dev
"$VENV/bin/python" -c 'import ray.data' 2>/dev/null || retry "$VENV/bin/python" -m pip install --quiet --editable "$ROOT[ray]" ||
  die "Ray can't be installed; see above."
cd "$ROOT"
export PATH=$VENV/bin:$PATH
unset PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE
"$VENV/bin/python" -m pytest -q -n 0 -m "slow or not slow" tests/ray "$@"
