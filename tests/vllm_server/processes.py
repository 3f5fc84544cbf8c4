"""For tests of servers: a command that stands in for vllm, and which processes bear a mark."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import suppress
from pathlib import Path

MARK = "PERSQA_TEST_MARK"
"""A variable that is handed down to every child, orphans included."""

MODEL = "some/model"
STAND_IN = Path(__file__).with_name("stand_in.py")


def fake_vllm(mode: str) -> list[str]:
    """A command that stands in for ``vllm``."""
    return [sys.executable, str(STAND_IN), mode]


def serve_args(mode: str, *more: str) -> list[str]:
    """``persqa run`` of rows.jsonl with a server that it starts, by a stand-in."""
    vllm = shlex.join(fake_vllm(mode))
    return ["run", "rows.jsonl", "-o", "qa.jsonl", "--serve", MODEL, "--vllm-command", vllm, *more]


def find_marked(mark: str) -> dict[int, str]:
    """The processes that bear the mark, each with its command line; one that has ended bears none."""
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    return found


def find_remaining(mark: str, seconds: float = 60.0) -> dict[int, str]:
    """What of them is still there when they have had some time to end."""
    deadline = time.monotonic() + seconds
    while (found := find_marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found
