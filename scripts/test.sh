#!/usr/bin/env bash
# Runs the checks that need no server: style, types and tests. Creates the environment .venv first if needed.
# usage: scripts/test.sh [pytest options]
#   scripts/test.sh                      all checks, without the tests that are marked as slow
#   scripts/test.sh -m "slow or not slow"  all checks, with these tests
#   scripts/test.sh -k journal           only the tests with "journal" in their names
#   scripts/test.sh -n 0                 the tests in one process, for a debugger
# PYTHON names the interpreter for .venv if python3 is older than 3.11.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

make_environment dev
cd "$ROOT"
export PATH=$VENV/bin:$PATH # for this script only: tests start this checkout's programs by name
unset PYTHONHOME PYTHONPATH # an active environment may have set them
unset PYTHONDONTWRITEBYTECODE # some images of containers set it; without bytecode each process compiles the package anew
bin=$VENV/bin

step() {
  say "== $*"
  "$bin/python" -m "$@" || die "scripts/test.sh: $1 failed; see above." 1
}

step ruff check
step ruff format --check
step mypy
# Two processes, for two cores. worksteal keeps the tests of a file together, so that they share its fixtures.
step pytest -q -n 2 --dist worksteal -m "not slow" "$@"
say "All checks passed."
