"""A raw answer and what is to come of it: the text that counts, or the code of the refusal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    question: str
    raw: str
    finish_reason: str
    answer: str | None
    """The text as it will stand in the output; None where the answer is refused."""
    code: str | None
    names: tuple[str, ...] = ()
    """Real names that must not leak."""
    tag: str = "<mam>"


def good(id: str, question: str, raw: str, names: tuple[str, ...] = (), tag: str = "<mam>") -> Case:
    """Comes out as it went in."""
    return Case(id, question, raw, "stop", raw, None, names, tag)


def mended(id: str, question: str, raw: str, answer: str, tag: str = "<mam>") -> Case:
    """Can be made good."""
    return Case(id, question, raw, "stop", answer, None, (), tag)


def bad(
    id: str, question: str, raw: str, code: str, finish: str = "stop", names: tuple[str, ...] = (), tag: str = "<mam>"
) -> Case:
    return Case(id, question, raw, finish, None, code, names, tag)
