#!/usr/bin/env bash
# Runs a part of the tests with the lowest versions that pyproject.toml allows, in the environment .venv-lowest.
# usage: scripts/test_lowest.sh [pytest options]    other tests in place of the part: scripts/test_lowest.sh tests/run
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

FOLDER=$ROOT/.venv-lowest
PART=(tests/cli/test_help.py tests/storage/test_ledger.py tests/storage/test_journal.py tests/client/test_request.py
  tests/client/test_response.py tests/images/test_prepare.py tests/limits/test_rate_limit.py)

python=$(find_python) || die "Python 3.11 or later is needed."
[[ -x $FOLDER/bin/python ]] || "$python" -m venv "$FOLDER"
retry "$FOLDER/bin/python" -m pip install --quiet uv
retry "$FOLDER/bin/uv" pip install --quiet --python "$FOLDER/bin/python" --resolution lowest-direct -e "$ROOT[dev]"
cd "$ROOT"
# Newer versions of what these packages use may warn about them.
exec "$FOLDER/bin/python" -m pytest -q -W ignore::DeprecationWarning -m "not slow" "${@:-${PART[@]}}"
