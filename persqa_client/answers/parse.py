"""From what a model said to an answer that begins with the tag: read, judge. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from persqa_client.answers.checks import is_no_loop
from persqa_client.answers.clean import SPACE, clean
from persqa_client.answers.tag_repair import put_tag, repair_tag
from persqa_client.types import Completion, Problem, Task

ENDED = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence"})
"""What servers call an answer that came to its own end: OpenAI's word, and those of others that speak its protocol."""
SENTENCE_END = re.compile(r"[.!?。！？…][\"'”’」』》)）\]*_`]*\s*$")

PASSES = 16
"""No honest answer has so many layers; one that does is caught in a loop."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The text as it will be judged, and which steps changed it."""

    text: str
    made_good_by: tuple[str, ...] = ()


def parse_answer(completion: Completion, ask: Task) -> Answer:
    """Cleans and repairs the text of a completion. Text that needs neither comes out as it went in, but for white
    space around it.

    What is cleaned may uncover a form of the tag, and a repaired tag what is to be cleaned (``Sure: **Mam**'s hat``),
    so both are done until neither finds anything.
    """
    text = completion.text.strip(SPACE)
    taken: dict[str, None] = {}
    for _ in range(PASSES):
        before = text
        if ask.surrogate and (text := put_tag(text, ask.surrogate, ask.tag)) != before:
            taken["surrogate"] = None
        text, cleaned = clean(text, ask)
        text, repaired = repair_tag(text, ask.tag, bare=ask.repair_bare_name)
        taken |= dict.fromkeys(cleaned + repaired)
        if text == before:
            break
    return Answer(text, tuple(taken))


def check_answer(completion: Completion, answer: Answer, ask: Task, room: int | None = None) -> Problem | None:
    """The first thing that is wrong with an answer, or None. How it ended counts before what it says; ``room`` is the
    number of tokens that it was allowed."""
    if completion.refusal:
        return Problem("refusal", "refusal")
    if was_cut(completion, answer.text, room):
        # More room makes a loop longer, and no answer of it.
        cut = Problem("truncated", "cut off at the token limit")
        return (is_no_loop(answer.text, ask) if is_no_loop in ask.checks else None) or cut
    if completion.finish_reason == "content_filter":
        return Problem("content_filter", "stopped by a content filter")
    if completion.finish_reason not in ENDED:
        reason = str(completion.finish_reason)
        return Problem("unfinished", f"not finished (finish_reason {reason})", found=reason)
    return next((problem for check in ask.checks if (problem := check(answer.text, ask)) is not None), None)


def was_cut(completion: Completion, text: str, room: int | None) -> bool:
    """Whether the answer ran into its limit. Some servers say ``stop`` then."""
    if completion.finish_reason == "length":
        return True
    full = room is not None and completion.usage.completion >= room
    return full and completion.finish_reason in ENDED and SENTENCE_END.search(text) is None
