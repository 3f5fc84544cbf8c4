"""Turns completions into answers: cleans the text, repairs the tag, and checks the result."""

from __future__ import annotations

from dataclasses import dataclass

from persqa_client.answers.bare_names import asks_in_english
from persqa_client.answers.clean import BLANKS, clean_answer, find_postamble, remove_thinking, spell_beginnings
from persqa_client.answers.loops import check_no_loop, compresses_too_well
from persqa_client.answers.plain import is_plain
from persqa_client.answers.surrogate_names import replace_surrogate
from persqa_client.answers.tag_repair import find_companions, repair_companions, repair_tag
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.types import Completion, Problem, Task

# Finish reasons of complete answers: OpenAI's "stop", and those of other servers.
COMPLETE = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence"})
SENTENCE_END = compile_lazily(r"[.!?。！？…][\"'”’」』》)）\]*_`]*\s*$")
# A real answer is shorter. From SUSPICIOUS_LENGTH on, loops are looked for before anything that takes longer.
LONGEST_ANSWER, SUSPICIOUS_LENGTH = 6000, 800
# A full stop before the end. A plain text without one is a single sentence.
INNER_STOP = compile_lazily(r"[.。](?!\Z)")
# Enough for every real answer; a text that still changes is a loop.
MAX_PASSES = 16


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    steps: tuple[str, ...] = ()


def parse_answer(completion: Completion, task: Task) -> Answer:
    """Cleans the text and repairs its tags, repeatedly until neither changes the text.

    One step may enable the other (``Sure: **Mam**'s hat``). Endless texts are left as they are; ``check_answer``
    rejects them.
    """
    text = completion.text.strip(BLANKS)
    if len(text) > SUSPICIOUS_LENGTH and is_endless(said := remove_thinking(text, task).strip(BLANKS)):
        return Answer(said, ("thinking",) if said != text else ())
    if is_clean(text, task):
        return Answer(text)
    steps: dict[str, None] = {}
    is_sure = task.repair_bare_name or not asks_in_english(task.question)
    for _ in range(MAX_PASSES):
        before = text
        if task.surrogate and (text := replace_surrogate(text, task.surrogate, task.tag)) != before:
            steps["surrogate"] = None
        text, cleaning = clean_answer(text, task)
        text, repairs = repair_tag(text, task.tag, bare_name=is_sure)
        text, others = repair_companions(text, task.question, task.tag)
        steps |= dict.fromkeys(cleaning + repairs + others)
        if text == before:
            break
    return Answer(text, tuple(steps))


def is_clean(text: str, task: Task) -> bool:
    """Whether no step can change the text: true for most answers."""
    tag, question = task.tag, task.question
    if task.surrogate or not is_plain(text, tag) or find_companions(question, tag):
        return False
    lower = text.lower()
    if lower.count(tag[1:-1].lower()) > 1 or lower.startswith(spell_beginnings(task.prompt, question, tag, None)):
        return False
    return INNER_STOP.search(text, len(tag)) is None or find_postamble(text) == len(text)


def is_endless(text: str) -> bool:
    return len(text) > LONGEST_ANSWER or (len(text) > SUSPICIOUS_LENGTH and compresses_too_well(text))


def check_answer(completion: Completion, answer: Answer, task: Task, max_tokens: int | None = None) -> Problem | None:
    """Returns the first problem, in how the completion ended or in its text.

    ``max_tokens`` is the request's limit.
    """
    if completion.refusal:
        return Problem("refusal", "refusal")
    if was_truncated(completion, answer.text, max_tokens):
        # More tokens would only make a loop longer, so it is reported as a loop.
        loop = check_no_loop(answer.text, task) if check_no_loop in task.checks else None
        return loop or Problem("truncated", "cut off at the token limit")
    if completion.finish_reason == "content_filter":
        return Problem("content_filter", "stopped by a content filter")
    if completion.finish_reason not in COMPLETE:
        reason = str(completion.finish_reason)
        return Problem("unfinished", f"not finished (finish_reason {reason})", found=reason)
    if len(answer.text) > SUSPICIOUS_LENGTH and check_no_loop in task.checks:
        if loop := check_no_loop(answer.text, task):
            return loop
        if len(answer.text) > LONGEST_ANSWER:
            return Problem("not_a_sentence", "far longer than an answer", "too_long")
    for check in task.checks:
        if (problem := check(answer.text, task)) is not None:
            return problem
    return None


def was_truncated(completion: Completion, text: str, max_tokens: int | None) -> bool:
    """Whether it was cut off. Some servers report ``stop`` if all tokens are used and the text ends mid-sentence."""
    if completion.finish_reason == "length":
        return True
    used_up = max_tokens is not None and completion.usage.completion >= max_tokens
    return used_up and completion.finish_reason in COMPLETE and SENTENCE_END.search(text) is None
