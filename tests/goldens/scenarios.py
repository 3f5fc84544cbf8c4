"""Runs of the command line whose requests and files are frozen, and how a run's files are read for comparison."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.goldens.server import MODEL, Form, RecordingServer
from tests.support.commands import persqa

HERE = Path(__file__).parent
PICTURES = HERE / "pictures"
INPUTS = HERE / "inputs"
REQUESTS = HERE / "requests"

DOUBTS = re.compile(rb',"doubts":\[[^\]]*\],"verification":null(?=\}\}\n)')
MESSAGE = re.compile(rb'(.*"error": ?\{"code":"\w+",)"message":"(?:[^"\\]|\\.)+"')


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run over ``inputs/rows.jsonl``, and the server that answers it."""

    name: str
    flags: tuple[str, ...]
    form: Form | None = "structured_outputs"
    hosted: bool = False
    rejected: frozenset[str] = field(default=frozenset())
    """Codes that must occur among the rejected answers; checked when the goldens are recorded."""


ALWAYS = frozenset(
    {
        "empty", "refusal", "pronoun_only", "no_tag", "only_tag", "echo", "placeholder", "unknown_markup",
        "unknown_tag", "loop", "wrong_language", "truncated", "content_filter", "unfinished",
    }
)  # fmt: skip
WIDE = ("--concurrency", "8", "--no-uuid")
# With uuids, the order of requests decides which one carries a picture's bytes: one at a time.
ONE = ("--concurrency", "1")

SCENARIOS = (
    Scenario(
        "constrain",
        (*WIDE, "--strategy", "constrain", "--details", "--names", "names.txt"),
        rejected=ALWAYS | {"name_leak"},
    ),
    Scenario("direct", (*WIDE, "--strategy", "direct", "--details"), form=None, rejected=ALWAYS),
    Scenario("prefill", (*WIDE, "--strategy", "prefill", "--details")),
    Scenario("surrogate", (*WIDE, "--strategy", "surrogate", "--details"), form="guided_regex"),
    Scenario("surrogate-unheld", (*WIDE, "--strategy", "surrogate", "--no-probes", "--limit", "60")),
    Scenario("questions-uuid", (*ONE, "--questions", "3", "--details", "--limit", "70")),
    Scenario(
        "chinese-animals",
        (
            *WIDE,
            "--bank",
            "animal",
            "--language",
            "zh",
            "--sensitive",
            "--questions",
            "4",
            "--limit",
            "60",
            "--details",
        ),
    ),
    Scenario(
        "own-bank",
        (
            *(*WIDE, "--bank", "bank.jsonl", "--without", "face", "--without", "hair", "--tag", "bo", "--seed", "7"),
            *("--output-style", "answer", "--output-key", "reply", "--temperature", "0", "--top-p", "1"),
            *("--max-tokens", "128", "--extra-body", '{"top_k": 20, "repetition_penalty": 1.05}', "--limit", "80"),
        ),
    ),
    Scenario(
        "hosted",
        (*ONE, "--bank", "group", "--sensitive", "--without", "text", "--limit", "80", "--details"),
        form="json_schema",
        hosted=True,
    ),
)


def prepare(folder: Path) -> None:
    """Puts the input and its pictures into an empty folder."""
    shutil.copytree(PICTURES, folder, dirs_exist_ok=True)
    shutil.copytree(INPUTS, folder, dirs_exist_ok=True)


def play(scenario: Scenario, folder: Path) -> tuple[RecordingServer, dict[str, bytes]]:
    """Runs a scenario in a prepared folder. Returns the server with its records, and the files that are compared."""
    with RecordingServer(form=scenario.form, hosted=scenario.hosted, salt="a") as server:
        result = persqa(
            *("run", "rows.jsonl", "-o", "out.jsonl", "--base-url", server.url, "--model", MODEL),
            *scenario.flags,
            cwd=folder,
        )
    assert result.returncode == 1, result.stderr
    return server, {
        "requests": "".join(f"{line}\n" for line in server.lines()).encode(),
        "output": without_doubts((folder / "out.jsonl").read_bytes()),
        "failed": without_messages((folder / "out.failed.jsonl").read_bytes()),
    }


def without_doubts(output: bytes) -> bytes:
    """An output without the members of the details that came after the recording."""
    return DOUBTS.sub(b"", output)


def without_messages(failures: bytes) -> bytes:
    """A failure file without the sentences in ``error.message``, which may be reworded. Each must be there, though."""
    lines = []
    for line in failures.splitlines(keepends=True):
        blank, count = MESSAGE.subn(rb'\1"message":"*"', line, count=1)
        assert count == 1, line
        lines.append(blank)
    return b"".join(lines)


def read_golden(name: str, part: str) -> bytes:
    return gzip.decompress((REQUESTS / f"{name}.{part}.gz").read_bytes())


def write_golden(name: str, part: str, data: bytes) -> None:
    (REQUESTS / f"{name}.{part}.gz").write_bytes(gzip.compress(data, mtime=0))


def codes(failures: bytes) -> set[str]:
    return {json.loads(line)["error"]["code"] for line in failures.splitlines()}


def rejected(parts: dict[str, bytes]) -> set[str]:
    """Codes of all answers that were rejected, those made good by a second ask included."""
    found = codes(parts["failed"])
    for line in parts["output"].splitlines():
        details = json.loads(line).get("pers_qa_meta") or {}
        found |= {details["refused"]} if details.get("refused") else set()
    return found
