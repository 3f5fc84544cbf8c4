"""Runs the ``persqa`` command in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PERSQA = (sys.executable, "-m", "persqa_client")


def start(*arguments: str | Path, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PERSQA, *map(str, arguments)], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def persqa(*arguments: str | Path, cwd: Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PERSQA, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
    )


def lines_in(path: Path) -> int:
    """Number of lines; 0 if there is no such file."""
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0
