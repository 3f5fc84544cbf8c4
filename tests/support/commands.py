"""Runs the ``persqa`` command as a person does: in a process of its own."""

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
    """How many lines a file has, which may come and go: it is looked at once."""
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0
