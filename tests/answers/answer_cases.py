"""A raw answer and its expected result: the text in the output, or the code of the rejection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    question: str
    raw: str
    finish_reason: str
    answer: str | None  # As it stands in the output; None where it is rejected.
    code: str | None
    names: tuple[str, ...] = ()  # Real names that must not occur.
    tag: str = "<mam>"


def good(id: str, question: str, raw: str, names: tuple[str, ...] = (), tag: str = "<mam>") -> Case:
    """An answer that stays as it is."""
    return Case(id, question, raw, "stop", raw, None, names, tag)


def fixed(id: str, question: str, raw: str, answer: str, tag: str = "<mam>") -> Case:
    """An answer that is cleaned or repaired."""
    return Case(id, question, raw, "stop", answer, None, (), tag)


def bad(
    id: str, question: str, raw: str, code: str, finish: str = "stop", names: tuple[str, ...] = (), tag: str = "<mam>"
) -> Case:
    """An answer that is rejected."""
    return Case(id, question, raw, finish, None, code, names, tag)
