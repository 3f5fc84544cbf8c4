"""Answers that a person wants a simulated endpoint to give, by the question. Reads their file."""

from __future__ import annotations

from pathlib import Path

import orjson

from persqa_client.errors import SettingsError
from persqa_client.simulator.mangling import Message

KEYS = frozenset({"question", "answer", "finish_reason"})
WANTED = 'write {"question": …, "answer": …} on each line, with a "finish_reason" if it is not stop'


def read_given(path: Path) -> dict[str, Message]:
    """JSON lines of question, answer and, if it is not ``stop``, finish_reason. Raises SettingsError."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--answers: {path} can't be read ({error}).") from error
    return dict(read_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip())


def read_line(path: Path, number: int, line: str) -> tuple[str, Message]:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"--answers: {path}, line {number}, is no JSON object; {WANTED}.") from error
    if not isinstance(fields, dict) or not (fields.keys() <= KEYS and all(map(is_text, fields.values()))):
        raise SettingsError(f"--answers: {path}, line {number}, has another form; {WANTED}.")
    if "question" not in fields or "answer" not in fields:
        raise SettingsError(f"--answers: {path}, line {number}, lacks its question or its answer; {WANTED}.")
    return fields["question"].strip(), Message(fields["answer"], fields.get("finish_reason", "stop"))


def is_text(value: object) -> bool:
    return isinstance(value, str)
