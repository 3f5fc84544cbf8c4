"""What a server's log says: its last lines, why it ended, what it is at. Pure."""

from __future__ import annotations

import re

CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SPEAKER = re.compile(r"^\([\w ]+=\d+\)\s*")
STAMP = re.compile(r"^(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+\d\d-\d\d [\d:]+ (?:\[[^\]]*\])\s*")
COMPLAINT = re.compile(r"^(?:[\w.]+(?:Error|Exception|Exit)|(?:[\w. -]+: )?error): .+|^Value error, .+")
"""The last line of a traceback, of a usage error, and what pydantic says of a setting, below its own."""
HEARSAY = re.compile(r"Engine core initialization failed|EngineDeadError|See root cause|WorkerProc initialization")
"""One process telling of another's end: the cause stands further up."""
FAREWELL = re.compile(r"nanobind|^ - (?:leaked|\.\.\. skipped)|resource_tracker")
"""What libraries say at every end; it would fill the last lines."""
TAKEN = re.compile(r"address already in use|EADDRINUSE", re.IGNORECASE)

LAST = 20
SHORT = 90
LONG = 300


def last_lines(text: str, count: int = LAST) -> list[str]:
    """The end of a log as it would look on a terminal, without blank lines and libraries' farewells."""
    lines = (shown(line) for line in text.split("\n"))
    return [line for line in lines if line.strip() and not FAREWELL.search(line)][-count:]


def shown(line: str) -> str:
    """Without colours; of a bar that was drawn over itself, the last state."""
    return CONTROLS.sub("", line).rstrip().rpartition("\r")[2]


def bare(line: str) -> str:
    """Without who said it, when and where."""
    return STAMP.sub("", SPEAKER.sub("", shown(line).strip())).strip()


def cause(text: str) -> str | None:
    """The error that the log ends with, one line of it; None where it tells of none."""
    complaints = [line for line in map(bare, text.split("\n")) if COMPLAINT.match(line)]
    first_hand = [line for line in complaints if not HEARSAY.search(line)]
    found = first_hand or complaints
    return abridge(found[-1].removeprefix("Value error, "), LONG) if found else None


def port_was_taken(text: str) -> bool:
    return TAKEN.search(text) is not None


def doing(text: str) -> str | None:
    """What the server is at, by its newest line."""
    lines = last_lines(text, 1)
    return abridge(bare(lines[0]), SHORT) if lines else None


def abridge(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
