"""Removes text around an answer: thinking, template tokens, fences, echoes, preambles, postambles, quotes.

A step returns the text unchanged if it finds nothing or is not certain. The words of preambles ("Sure, here is the
answer:") and postambles ("Let me know if …") are in the tables of all languages, since models also answer a Chinese
question with "Sure!".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache

from persqa_client.answers.bare_names import find_bare_name
from persqa_client.answers.descriptions import without_description
from persqa_client.answers.phrases import any_phrase
from persqa_client.answers.short_answers import is_denied, is_short_answer
from persqa_client.answers.tails import remove_citations
from persqa_client.jsonl import load_value
from persqa_client.language import UNSPACED
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.types import Task

# White space, with marks of width and direction.
BLANKS = (
    " \t\n\r\f\v\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\u061c\ufeff"
)

# Everything up to the end of the last thought. The opening tag is often in the prompt, so it is optional.
THINKING = compile_lazily(
    r"(?is)^.*(?:(?!(?<=[\"“'‘`「])</\w+>[\"”'’`」])</(?:think|thinking|thought|reasoning)>|◁/think▷|<\|channel\|>final<\|message\|>)"
)
# Tokens of chat templates: ChatML and Llama 3, DeepSeek, Llama 2, Gemma, Idefics.
TEMPLATE_TOKEN = (
    r"<\|[^<>|]{1,40}\|>|<｜[^<>｜]{1,40}｜>|</?s>|<[be]os>|<(?:start|end)_of_turn>|<end_of_utterance>|\[/?INST\]"
)
TEMPLATE_END = compile_lazily(rf"(?i)(?:(?:{TEMPLATE_TOKEN})\s*)+$")
TEMPLATE_START = compile_lazily(rf"(?i)^(?:(?:{TEMPLATE_TOKEN})\s*)+(?:assistant\s)?\s*")
WRAPPER = compile_lazily(r"(?is)^<(answer|response|output)>(.*)</\1>$")
BOXED = compile_lazily(r"(?s)\\(?:boxed|text)\{(.*)\}")
FENCE = compile_lazily(r"(?s)(?:(```|~~~)[\w-]*\n(.*?)\n?\1|```([^`\n]+)```)$")
ANSWER_KEYS = frozenset({"answer", "response", "text", "caption", "description", "output", "回答", "答案"})
# Members of objects that are no answer.
OTHER_KEYS = frozenset(
    {"error", "message", "question", "prompt", "reason", "reasoning", "thought", "thoughts", "status"}
)
BULLET = compile_lazily(r"(?:[-*•>]|\d{1,2}[.)]|#{1,6}) +")
LATER_BULLET = compile_lazily(rf"\n[ \t]{{0,8}}{BULLET.pattern}")
QUOTES = {'"': '"', "„": "“", "'": "'", "“": "”", "‘": "’", "「": "」", "『": "』", "«": "»", "`": "`"}
OPENING_MARKS = "\"'“‘„「『«*_`>"
OPENING_QUOTE = compile_lazily(r"(?:^|[\s(（\[])\"")

LABEL = compile_lazily(
    r"[\s*_#>]*(?:final answer|answer|response|assistant|output|caption|a|回答|答案|答|回复)"
    r"(?:[*_]*[ \t]*[:：][*_]*|[*_]*\n)\s*",
    re.IGNORECASE,
)
INNER_LABEL = compile_lazily(rf"[:：]?( ?)\s*(?=[*_]{{2}}){LABEL.pattern}(?=[^\W\d_]|<|\Z)", re.IGNORECASE)
QUESTION_LABEL = compile_lazily(r"[\s*_#>]*(?:question|q|问题|问)[*_]*\s*[:：][*_]*\s*", re.IGNORECASE)
ANSWER_LABEL = compile_lazily(r"(?:^|[\s,，])[*_#]*(?:answer|a|回答|答案|答)[*_]*\s*[:：][*_]*\s*", re.IGNORECASE)
SENTENCE = compile_lazily(r"[^.!?。！？\n]+[.!?。！？]?(?:\s+|$)?")
# Shorter sentences of the prompt may also occur in an answer.
MIN_SENTENCE_LENGTH = 12
QUESTION_END = "?？ "


def clean_answer(text: str, task: Task) -> tuple[str, tuple[str, ...]]:
    applied = []
    for name, step in STEPS:
        changed = step(text, task)
        if changed is not text and changed != text:
            applied.append(name)
            text = changed.strip(BLANKS)
    return text, tuple(applied)


def remove_thinking(text: str, task: Task) -> str:
    return THINKING.sub("", text) if "think" in text or "<" in text.replace(task.tag, "") else text


def remove_template_tokens(text: str, task: Task) -> str:
    if text[-1:] in (">", "]"):
        text = TEMPLATE_END.sub("", text)
    if text[:1] in ("<", "[") and not text.startswith(task.tag):
        text = TEMPLATE_START.sub("", text)
        if wrapped := WRAPPER.match(text.strip()):
            return wrapped[2]
    return unwrap_boxed(text) if text.startswith("\\boxed") else text


def unwrap_boxed(text: str) -> str:
    """The content of ``\\boxed{\\text{…}}``, if the braces match each other; otherwise the text."""
    inner = text
    while boxed := BOXED.fullmatch(inner):
        inner = boxed[1]
    return inner if are_partners(inner, "{", "}") else text


def unwrap_fence(text: str, task: Task) -> str:
    """Allows a preamble before the fence."""
    if text[-3:] not in ("```", "~~~"):
        return text
    start = text.find(text[-3:], 0, MAX_PREAMBLE_LENGTH)
    fenced = FENCE.match(text, start) if start >= 0 and is_preamble(text, start) else None
    return (fenced[2] or fenced[3] or "") if fenced else text


def unwrap_json(text: str, task: Task) -> str:
    if not (text[:1] == "{" and text[-1:] == "}"):
        return text
    try:
        value = load_value(text.encode("utf-8", "replace"))
        has_equal_keys = isinstance(value, dict) and len(json.loads(text, object_pairs_hook=list)) > len(value)
    except ValueError:
        return text
    if has_equal_keys or not isinstance(value, dict):
        return text
    answers = [value[key] for key in value if key in ANSWER_KEYS]
    if len(value) == 1 and not answers:  # A key in any language.
        answers = [
            only
            for key, only in value.items()
            if isinstance(only, str) and only.startswith(task.tag) and key.lower() not in OTHER_KEYS
        ]
    return answers[0] if len(answers) == 1 and isinstance(answers[0], str) else text


def remove_echo(text: str, task: Task) -> str:
    """Removes the prompt or the question from the beginning, unless nothing would be left."""
    if text.startswith(task.tag) and not task.question.startswith(task.tag):
        return text
    return remove_question(remove_prompt(text, task), task)


@lru_cache(maxsize=1024)
def spell_beginnings(prompt: str, question: str, tag: str, surrogate: str | None) -> tuple[str, ...]:
    """The texts with which an answer that repeats the prompt or the question begins, in lower case."""
    sentences = spell_sentences(split_prompt(prompt, question, tag, surrogate), tag, surrogate)
    return tuple(text.casefold() for text in (prompt, question.rstrip(QUESTION_END), *sentences))


def remove_prompt(text: str, task: Task) -> str:
    """Only if an answer or a question follows."""
    if text.startswith(task.prompt) and len(text) > len(task.prompt):
        return text[len(task.prompt) :].lstrip()
    beginnings = spell_sentences(prompt_sentences(task), task.tag, task.surrogate)
    if not text.startswith(beginnings) and not text[:1].isspace():
        return text
    rest = text
    for beginning in beginnings:
        rest = rest.removeprefix(beginning).lstrip()
    return rest if begins_with_name(rest, task) or QUESTION_LABEL.match(rest) or LABEL.match(rest) else text


@lru_cache(maxsize=256)
def spell_sentences(sentences: tuple[str, ...], tag: str, surrogate: str | None) -> tuple[str, ...]:
    """The sentences with the tag, with its bare name, and with the surrogate name."""
    return tuple(sentence.replace(tag, name) for sentence in sentences for name in (tag, tag[1:-1], surrogate or tag))


def begins_with_name(text: str, task: Task) -> bool:
    return text.startswith(task.tag) or find_bare_name(text, task.tag, len(task.tag)) == 0


def prompt_sentences(task: Task) -> tuple[str, ...]:
    return split_prompt(without_description(task), task.question, task.tag, task.surrogate)


@lru_cache(maxsize=256)
def split_prompt(prompt: str, question: str, tag: str, surrogate: str | None) -> tuple[str, ...]:
    text = prompt.replace(question, "")
    sentences = (sentence.strip() for sentence in SENTENCE.findall(text.replace(surrogate, tag) if surrogate else text))
    return tuple(sentence for sentence in sentences if len(sentence) >= MIN_SENTENCE_LENGTH)


def remove_question(text: str, task: Task) -> str:
    """Keeps an unfinished question such as ``<mam> is``, which may be the beginning of the answer."""
    label = QUESTION_LABEL.match(text)
    unlabelled = (text[label.end() :] if label else text).lstrip('"“「*_ ')
    whole = task.question.rstrip(QUESTION_END)
    spellings = (whole, whole.replace(task.tag, task.tag[1:-1]))
    asked = next((form for form in spellings if unlabelled[: len(form)].casefold() == form.casefold()), None)
    if asked is None:
        return remove_reworded_question(text, task) if label else text
    rest = unlabelled[len(asked) :]
    is_question = whole != task.question and rest.lstrip()[:1] in ("?", "？")
    rest = rest.lstrip(' ?？,，:：\n"”」*_')
    if rest and (is_question or begins_with_name(rest, task) or LABEL.match(rest)):
        return rest
    return unlabelled if label and not is_question else text


def remove_reworded_question(text: str, task: Task) -> str:
    """Keeps the text after the only ``Answer:``, if it begins with the tag."""
    labels = list(ANSWER_LABEL.finditer(text))
    rest = text[labels[0].end() :] if len(labels) == 1 else ""
    return rest if begins_with_name(rest, task) else text


def remove_label(text: str, task: Task) -> str:
    start = len(task.tag) if text.startswith(task.tag) else 0
    label = (INNER_LABEL if start else LABEL).match(text, start)
    return text[:start] + (label[1] if start else "") + text[label.end() :] if label else text


def remove_preamble(text: str, task: Task) -> str:
    """Removes a preamble before the tag, or before its bare name."""
    if text.startswith(task.tag):
        return text
    start = text.find(task.tag, 0, MAX_PREAMBLE_LENGTH)
    if start >= 0:
        end = start + len(task.tag)
        while start > 0 and (text[start - 1] in OPENING_MARKS or text.endswith("> ", 0, start)):
            start -= 1
        is_removed = start and (is_preamble_to_tag(text, start, end) or is_short_answer(text[:start], task.question))
        return text[start:] if is_removed and not is_denied(text[:start], text[end:], task.question) else text
    start = find_bare_name(text, task.tag, MAX_PREAMBLE_LENGTH)
    return text[start:] if start > 0 and is_preamble(text, start) else text


def remove_postamble(text: str, task: Task) -> str:
    end = find_postamble(text)
    return text[:end].rstrip() if end < len(text) else text


def remove_bullet(text: str, task: Task) -> str:
    """The marker of a list, a heading or a quotation; not in lists of several lines."""
    mark = BULLET.match(text)
    is_alone = mark and text.startswith(task.tag, mark.end()) and not LATER_BULLET.search(text)
    return text[mark.end() :] if mark and is_alone else text


def remove_quotes(text: str, task: Task) -> str:
    stop = text[-1:] if text[-1:] in (".", "。") else ""
    body = text.removesuffix(stop) if stop else text
    closing = QUOTES.get(body[:1])
    if closing and len(body) > 1 and body.endswith(closing) and are_partners(body[1:-1], body[0], closing):
        return body[1:-1] + stop
    if text[:1] in ('"', "“") and text.startswith(task.tag, 1) and not re.search('["”]', text[1:]):
        return text[1:]
    is_unpaired = text[-1:] in ('"', "”") and not re.search('["“”]', text[:-1]) and not text[-2:-1].isdigit()
    return text[:-1] if is_unpaired and text.startswith(task.tag) else text


def are_partners(inner: str, opening: str, closing: str) -> bool:
    if opening == "'":
        # A single quote between letters or after the tag is an apostrophe.
        return not re.search(r"(?<![\w>])'|'(?!\w)", inner)
    if opening == '"':
        return inner.count('"') % 2 == 0 and len(OPENING_QUOTE.findall(inner)) * 2 == inner.count('"')
    if opening == closing:
        return opening not in inner
    depth = 0
    for character in inner:
        depth += (character == opening) - (character == closing)
        if depth < 0:
            return False
    return depth == 0


# Steps in order. Their names appear in the output's details.
STEPS: tuple[tuple[str, Callable[[str, Task], str]], ...] = (
    ("thinking", remove_thinking),
    ("template", remove_template_tokens),
    ("fence", unwrap_fence),
    ("json", unwrap_json),
    ("echo", remove_echo),
    ("label", remove_label),
    ("preamble", remove_preamble),
    ("postamble", remove_postamble),
    ("citations", remove_citations),
    ("bullet", remove_bullet),
    ("quotes", remove_quotes),
)


MAX_PREAMBLE_LENGTH = 200
MAX_POSTAMBLE_LENGTH = 250
# The mark or line end that closes a clause. Without it, "no" or "it is" belongs to the tag that follows.
CLOSE = r"(?:\s?[,.!:;…—–，。！：、；】،؛।]+[*_]*\s*|\s*\n\s*)"
# Beginnings of sentences within a text.
SENTENCE_START = compile_lazily(
    rf"[.!?。！？؟…\n](?:(?<!\n)[.!?。！？؟…]*[\"”’»」』)）]?(?:\s+|(?=[{UNSPACED}]))|(?<=\n)\s*)(?=\W{{0,3}}\w)"
)
SENTENCE_END = r"[\s.!?。！？؟…~～]*\W{0,8}"
# Verbs behind "the <mam>", which show that the tag is not the first half of a noun ("the <mam> family").
PREDICATE = compile_lazily(
    r"['’]s\b|,|\s+(?:is|was|has|had|does|did|can|could|will|would|may|might|must|seems|appears)\b"
    r"|\s+\w+s\b(?!\s+(?:is|are|was|were|has|have|had|can|could|will|would|do|did)\b)"
)
ARTICLE = compile_lazily(r"the\s+\Z", re.IGNORECASE)
QUOTE_PAIRS = ("“”", "「」", "『』", "«»")


@lru_cache
def preamble_pattern() -> re.Pattern[str]:
    closed, open_ = any_phrase("preamble", "closed"), any_phrase("preamble", "open")
    return re.compile(rf"(?:[*_#>¡\s]*(?:{closed}){CLOSE})*(?:(?:{open_})\s*)?", re.IGNORECASE)


@lru_cache
def speech_pattern() -> re.Pattern[str]:
    return re.compile(rf"(?:{any_phrase('preamble', 'speech')})\s*(?:[,.!:;，。！：；،]|\Z)", re.IGNORECASE)


@lru_cache
def postamble_pattern() -> re.Pattern[str]:
    return re.compile(rf"[*_(（¡\s]*(?:{any_phrase('postamble', 'sentence')}){SENTENCE_END}", re.IGNORECASE)


@lru_cache
def report_pattern() -> re.Pattern[str]:
    reported = any_phrase("postamble", "reported")
    return re.compile(rf"(?:{reported})(?:[^.!?。！？\n]{{0,40}}[:：][^\n]*|[着著了]?\s*\n\s*)\Z", re.IGNORECASE)


def is_preamble(text: str, end: int) -> bool:
    """Whether nothing but a preamble stands before ``end``."""
    return end <= MAX_PREAMBLE_LENGTH and preamble_pattern().fullmatch(text, 0, end) is not None


def is_preamble_to_tag(text: str, start: int, end: int) -> bool:
    """Whether only a preamble, or an article, stands before the tag at ``start`` to ``end``. An article counts only if
    the tag is not a part of a longer noun. Words of the subject are no preamble: "Hello there, <mam> seems to say".
    """
    if speech_pattern().match(text, end):
        return False
    if is_preamble(text, start):
        return True
    article = ARTICLE.search(text, max(0, start - 8), start)
    return article is not None and PREDICATE.match(text, end) is not None and is_preamble(text, article.start())


def find_postamble(text: str) -> int:
    """Where the postamble begins, else the text's length. A sentence quoted from the picture does not count."""
    end = len(text)
    starts = [found.end() for found in SENTENCE_START.finditer(text, max(1, end - MAX_POSTAMBLE_LENGTH))]
    for start in reversed(starts):
        if not postamble_pattern().fullmatch(text, start, end) or is_reported(text[:start]):
            break
        end = start
    return end


def is_reported(before: str) -> bool:
    """Whether text behind ``before`` is inside a quotation, or behind "reads" and a colon or a line break."""
    if before.count('"') % 2 or any(before.count(pair[0]) > before.count(pair[1]) for pair in QUOTE_PAIRS):
        return True
    return any(mark in before for mark in ":：\n") and report_pattern().search(before) is not None
