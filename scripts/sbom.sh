#!/usr/bin/env bash
# Writes the bill of materials of an installation without extras: all packages with versions and licences (CycloneDX).
# usage: scripts/sbom.sh [FILE.json]    the default is sbom.json
# The installation is .venv-sbom, made anew each time; cyclonedx-bom is in an environment of its own inside of it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

FOLDER=$ROOT/.venv-sbom
target=${1:-sbom.json}
python=$(find_python) || die "Python 3.11 or later is needed."
rm -rf "$FOLDER"
"$python" -m venv "$FOLDER/installed"
"$python" -m venv "$FOLDER/tool"
retry "$FOLDER/installed/bin/python" -m pip install --quiet "$ROOT"
retry "$FOLDER/tool/bin/python" -m pip install --quiet "cyclonedx-bom>=7,<8"
"$FOLDER/installed/bin/python" -m pip uninstall --quiet --yes setuptools pip >/dev/null 2>&1 || true
"$FOLDER/tool/bin/cyclonedx-py" environment --pyproject "$ROOT/pyproject.toml" --output-reproducible --of JSON \
  -o "$target" "$FOLDER/installed/bin/python"
say "$target has $(grep -c '"purl":' "$target") packages."
