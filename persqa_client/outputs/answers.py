"""From what a model said to an answer that begins with the tag: read, clean, repair. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

from persqa_client.outputs.checks import TEMPLATE_TOKEN
from persqa_client.types import Ask, Completion, Problem

THINKING = re.compile(r"(?is)^.*</think>")
"""All up to the last end of a thought; its beginning is often part of the prompt, and not of the answer."""
TEMPLATE_END = re.compile(rf"(?i)(?:(?:{TEMPLATE_TOKEN})\s*)+$")
FENCE = re.compile(r"(?s)^```[\w-]*\n(.*?)\n?```$")
LABEL = re.compile(r"^(?:answer|a|回答|答案|答)\s*[:：]\s*", re.IGNORECASE)
ENDED = frozenset({"stop", "eos", "eos_token", "end_turn", "stop_sequence"})
"""What servers call an answer that came to its own end: OpenAI's word, and those of others that speak its protocol."""
ECHO_LABEL = re.compile(r"^(?:question|问题)\s*[:：]\s*", re.IGNORECASE)
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "「": "」"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The text as it will be judged, and which steps changed it."""

    text: str
    made_good_by: tuple[str, ...] = ()


def read_answer(completion: Completion, ask: Ask) -> Answer:
    """Cleans and repairs the text of a completion. Text that needs neither comes out as it went in, but for white
    space around it."""
    text = completion.text.strip()
    cleaned = clean(text, ask.question, ask.tag)
    repaired = repair_tag(cleaned, ask.tag)
    steps = (("cleaning", cleaned != text), ("repair", repaired != cleaned))
    return Answer(repaired, tuple(step for step, taken in steps if taken))


def clean(text: str, question: str, tag: str) -> str:
    """Takes off what stands around an answer: thinking, the chat template's end, a code fence, the echoed question, a
    label, quotes."""
    text = THINKING.sub("", text)
    text = TEMPLATE_END.sub("", text).strip()
    if fenced := FENCE.match(text):
        text = fenced.group(1).strip()
    text = LABEL.sub("", cut_echo(text, question, tag))
    if len(text) > 1 and QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def cut_echo(text: str, question: str, tag: str) -> str:
    """The text without the question before it. A question such as ``<mam> is`` may be the beginning of its answer."""
    bare = ECHO_LABEL.sub("", text)
    if not bare.startswith(question):
        return text
    rest = bare.removeprefix(question).lstrip(" ,，\n")
    is_echo = question.endswith(("?", "？")) or rest.startswith(tag) or LABEL.match(rest)
    return rest if is_echo else bare


def repair_tag(text: str, tag: str) -> str:
    """Restores the tag at the beginning of the text where it is there in another form.

    Escaped for HTML, full-width, in bold or backticks, with spaces, in another case, or without its brackets (field
    survey: about a third of a 7B model's tags lose them; names of one or two letters are words too often for that). A
    subject phrase is never turned into the tag.
    """
    if text.startswith(tag):
        return text
    name = re.escape(tag[1:-1])
    unescaped = unescape(text) if text.lstrip("*_` ").startswith("&lt;") else text
    bracketed = rf"[<＜〈《]\s*{name}\s*[>＞〉》](?P<closing>[*_`]*)"
    bare = rf"[\"“]?{name}(?P<closed>[*_`\"”]*)(?=$|[\s,，.。:：;；!！?？、'’]|[\u3400-\u9fff])"
    forms = [bracketed, bare] if len(tag) > 4 else [bracketed]
    found = re.match(rf"(?P<marks>[*_`]*)(?:{'|'.join(forms)})", unescaped, re.IGNORECASE)
    if found is None:
        return text
    groups, rest = found.groupdict(), unescaped[found.end() :]
    if groups["marks"] and not (groups["closing"] or groups.get("closed")):
        # Bold that began before the tag ends somewhere behind it.
        rest = rest.replace(groups["marks"][::-1], "", 1)
    return tag + rest


def judge(completion: Completion, answer: Answer, ask: Ask) -> Problem | None:
    """The first thing that is wrong with an answer, or None. How it ended counts before what it says."""
    if completion.refusal:
        return Problem("refusal", "it is a refusal")
    if completion.finish_reason == "length":
        return Problem("truncated", "it was cut off; a shorter one is wanted")
    if completion.finish_reason == "content_filter":
        return Problem("content_filter", "it was stopped by a content filter")
    if completion.finish_reason not in ENDED:
        return Problem("unfinished", f"it did not come to its end ({completion.finish_reason})")
    return next((problem for check in ask.checks if (problem := check(answer.text, ask)) is not None), None)
