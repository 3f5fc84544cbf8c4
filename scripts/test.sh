#!/usr/bin/env bash
# Checks everything that needs no server: style, types, tests. Makes the environment .venv first if there is none.
# usage: scripts/test.sh [pytest options]
#   scripts/test.sh                      all of it
#   scripts/test.sh -k journal           of the tests, those with "journal" in their names
#   scripts/test.sh -n 0                 the tests one after the other, in this process (for a debugger)
# PYTHON names the interpreter to make .venv with, where python3 is older than 3.11.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

make_environment dev
cd "$ROOT"
export PATH=$VENV/bin:$PATH # for this script alone: what tests start by name is this checkout's
unset PYTHONHOME PYTHONPATH # an active environment's must not mix in
bin=$VENV/bin

step() {
  say "== $*"
  "$bin/python" -m "$@" || die "scripts/test.sh: $1 is not content; see above." 1
}

step ruff check
step ruff format --check
step mypy
# -n 2: two processes, which is what a small machine has.
step pytest -q -n 2 "$@"
say "All is well."
