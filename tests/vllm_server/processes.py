"""A fake ``vllm``, and the processes that a test has started, for tests of servers."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import suppress
from pathlib import Path

# A variable that all children inherit, orphans included.
MARK = "PERSQA_TEST_MARK"

MODEL = "some/model"
FAKE_VLLM = Path(__file__).with_name("fake_vllm.py")


def fake_vllm(mode: str) -> list[str]:
    """The words that call the fake ``vllm`` in one of its modes."""
    return [sys.executable, str(FAKE_VLLM), mode]


def serve_args(mode: str, *more: str) -> list[str]:
    """Arguments of ``persqa``: a run of rows.jsonl with a server of its own, the fake ``vllm``."""
    vllm = shlex.join(fake_vllm(mode))
    return ["run", "rows.jsonl", "-o", "qa.jsonl", "--serve", MODEL, "--vllm-command", vllm, *more]


def find_marked(mark: str) -> dict[int, str]:
    """The command lines of the live processes with this mark, by pid."""
    found = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
    return found


def wait_for_marked(mark: str, count: int, seconds: float = 60.0) -> None:
    """Waits for ``count`` processes with this mark: a process that was just started has no environment yet."""
    deadline = time.monotonic() + seconds
    while (found := len(find_marked(mark))) != count:
        assert time.monotonic() < deadline, f"{found} processes in place of {count}"
        time.sleep(0.02)


def find_remaining(mark: str, seconds: float = 60.0) -> dict[int, str]:
    """Like ``find_marked``, after up to ``seconds`` for all of them to end."""
    deadline = time.monotonic() + seconds
    while (found := find_marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found
