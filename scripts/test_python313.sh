#!/usr/bin/env bash
# Runs the tests that need no server on Python 3.13, in the environment .venv-3.13.
# usage: scripts/test_python313.sh [pytest options]
# The interpreter is PYTHON313, python3.13 on the PATH, or one that pyenv or uv has installed. If there is none, root on
# Debian installs Debian 13, which has Python 3.13, into the folder .debian-13 (once; a minute and 300 MB) and runs the
# tests inside of it. Exit code 69 if Python 3.13 or its packages cannot be installed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;; esac

VENV=$ROOT/.venv-3.13
DEBIAN=$ROOT/.debian-13
UNAVAILABLE=69

is_313() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null; }

find_python313() {
  local candidate
  for candidate in ${PYTHON313:+"$PYTHON313"} python3.13 python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python \
    "$(uv python find --no-python-downloads 3.13 2>/dev/null || true)"; do
    if [[ -n $candidate ]] && is_313 "$candidate"; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

# The Debian mirror that apt uses, because others may not be reachable.
find_mirror() {
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | grep -m 1 '/debian/*$'
}

install_debian() {
  [[ ! -f $DEBIAN/.complete ]] || return 0
  local mirror
  [[ $(id -u) == 0 ]] && mirror=$(find_mirror) || return 1
  if ! command -v debootstrap >/dev/null; then
    retry apt-get update -qq >&2 && retry apt-get install -y -qq --no-install-recommends debootstrap >&2 || return 1
  fi
  say "Installing Debian 13 into $DEBIAN (once; a minute or so) …"
  rm -rf "$DEBIAN"
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates trixie "$DEBIAN" "$mirror" >&2 || return 1
  touch "$DEBIAN/.complete"
}

# Calls this script inside of $DEBIAN. The mounts are in a namespace of their own and end with it.
run_in_debian() {
  mkdir -p "$DEBIAN$ROOT"
  if ! unshare --mount true; then
    say "This machine allows no mounts, which $DEBIAN needs: install Python 3.13, or name it: PYTHON313=/path/to/python3.13 $0"
    exit "$UNAVAILABLE"
  fi
  unshare --mount --propagation private bash -euo pipefail -c '
    debian=$1 root=$2
    shift 2
    mount --bind "$root" "$debian$root" || exit 69
    mount -t proc proc "$debian/proc" || exit 69
    mount --rbind /dev "$debian/dev" || exit 69
    # How this machine reaches the package index.
    for path in /etc/resolv.conf /etc/hosts /etc/ssl /etc/pip.conf /etc/xdg; do
      [[ -e $path ]] || continue
      if [[ -d $path ]]; then mkdir -p "$debian$path"; else touch "$debian$path"; fi
      mount --bind "$path" "$debian$path"
    done
    exec chroot "$debian" /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/tmp \
      PYTHON313=/usr/bin/python3.13 "$root/scripts/test_python313.sh" "$@"
  ' bash "$DEBIAN" "$ROOT" "$@"
}

if ! python=$(find_python313); then
  if ! install_debian; then
    say "No Python 3.13 can be had: install one, or name it: PYTHON313=/path/to/python3.13 $0"
    exit "$UNAVAILABLE"
  fi
  run_in_debian "$@"
  exit
fi

# An environment of another interpreter, or of the other root folder.
is_313 "$VENV/bin/python" && [[ $(readlink -f "$VENV/bin/python") == $(readlink -f "$python") ]] || rm -rf "$VENV"
# In a subshell, because it exits if the packages cannot be installed.
(PYTHON=$python make_environment dev) || exit "$UNAVAILABLE"
cd "$ROOT"
export PATH=$VENV/bin:$PATH
unset PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE
"$VENV/bin/python" -m pytest -q -n 2 --dist worksteal -m "not slow" "$@"
