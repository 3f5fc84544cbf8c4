"""Checks of answers, each with its code."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence

from persqa_client.answers.answer_language import check_language
from persqa_client.answers.clean import TEMPLATE_TOKEN, prompt_sentences
from persqa_client.answers.names import check_no_real_name
from persqa_client.answers.non_answers import check_image_is_seen, check_no_refusal, check_not_about_task
from persqa_client.answers.surrogates import contains_surrogate
from persqa_client.language import HAN_CHARACTER, SPACED_LETTER
from persqa_client.quotations import remove_quotations
from persqa_client.types import Check, Problem, Task

# Phrases in English and Chinese.

LETTER_OR_DIGIT = re.compile(r"[^\W_]")
POSSESSIVE = re.compile(r"['’]s\b")
CLASSES = (
    r"(?:main |central |primary )?(?:character|subject|figure|person|individual|man|woman|boy|girl|child|kid|baby|lady"
    r"|guy|gentleman|animal|pet|dog|cat|puppy|kitten|bird|object|item|toy|thing|group|people|building|place|one)s?"
)
# A pronoun, or a generic noun with an article, as the subject of the answer.
STAND_IN = re.compile(
    r"[\"“‘'*_\s]*(?:(?:he|she|it|they)(?:['’](?:s|re|d|ll|ve))?\b|(?:his|her|its|their)\s+\w"
    rf"|(?:the|this|that)\s+(?:\w+\s+){{0,2}}?{CLASSES}\b"
    r"|[他她它](?!乡|日)|(?:图中|图片中|照片中|照片里|图片里|画面中)?的?"
    r"(?:(?:这|那|该)(?:[一几两]?[位个名只条件座群]|些)|(?:这|那|该)[^里时样边儿<，。\s]{0,3}?"
    r"(?:人|男|女|孩|先生|学生|主角|动物|宠物|猫|狗|犬|主体|对象))"
    r"|(?:图中|图片中|照片中|照片里|图片里|画面中)?的?(?:主角|主体|人物|男人|女人|男子|女子|男孩|女孩|男士|女士|猫咪?|狗狗?))",
    re.IGNORECASE,
)
# Start of another question or answer.
GOES_ON = re.compile(
    r"\n[ \t*_#>]{0,8}(?:question|answer|q|问题|问|回答|答案|答|user|human|assistant|system)[*_]{0,3} ?[:：]"
    r"|\bquestion ?[:：].*\banswer ?[:：]|\n(?:user|assistant|human)\n",
    re.IGNORECASE | re.DOTALL,
)
# Each alternative begins with a literal, so that ``re`` can skip to it: 0.6 µs per sentence instead of 4 µs.
PLACEHOLDER = re.compile(
    r"\{(?i:\{[^{}]{0,40}\}\}|(?:[a-z]+_)?(?:name|tag|subject|character|person|answer|question)s?\})"
    r"|\[(?i:(?:insert |your |the |main )?(?:name|tag|character|subject|person|answer)\b[^\]]{0,30}\])"
    r"|<(?i:(?:name|tag|character|subject|person)>)"
    rf"|s(?<!{SPACED_LETTER}s)(?i:ks(?!{SPACED_LETTER}))|S(?<!{SPACED_LETTER}S)(?i:ks(?!{SPACED_LETTER}))"
    rf"|X(?<!{SPACED_LETTER}X)X{{2,}}(?!{SPACED_LETTER})|_(?<![\^TtOoQq>(]_)__+|某某|"
    + "|".join(rf"\{bracket}(?:姓名|名字|名称|标签|主角名?|人物名?)[\]】}}｝）)>＞]" for bracket in "[【{｛（(<＜")
)
MARKUP = re.compile(rf"{TEMPLATE_TOKEN}|</?think(?:ing)?>|◁/?think▷|<(?:image|video|audio)>", re.IGNORECASE)
TAG_LIKE = re.compile(r"</?[^\W\d_][^<>\n]{0,39}>|＜/?[^\W\d_][^＜＞\n]{0,39}＞")

# Allowed repetitions of an n-gram. Genuine lists repeat two or three words, not longer sequences.
MAX_REPEATS = 4
# Length of an n-gram in words, and in characters: four Chinese characters are at most two words (一件红色的).
NGRAM_WORDS, NGRAM_CHARACTERS = 4, 8
LONGEST_WORD = 40
CHARACTER_RUN = re.compile(r"(\S)\1{19}")
# From this size on, loops compress better than normal texts, which shrink to a third at most.
MIN_COMPRESSIBLE_BYTES = 400
LOOP_COMPRESSION_RATIO = 0.2


def check_not_empty(text: str, task: Task) -> Problem | None:
    return None if LETTER_OR_DIGIT.search(text) else Problem("empty", "empty answer")


def check_no_stand_in(text: str, task: Task) -> Problem | None:
    if text.startswith(task.tag) or task.tag in text or not STAND_IN.match(text):
        return None
    return Problem("pronoun_only", f"a pronoun or a description instead of {task.tag}")


def check_begins_with_tag(text: str, task: Task) -> Problem | None:
    return None if text.startswith(task.tag) else Problem("no_tag", f"no {task.tag} at the beginning")


def check_says_something(text: str, task: Task) -> Problem | None:
    """Ignores a possessive ``'s``."""
    rest = text.replace(task.tag, " ")
    if LETTER_OR_DIGIT.search(POSSESSIVE.sub("", rest)):
        return None
    return Problem("only_tag", f"nothing besides {task.tag}")


def check_no_echo(text: str, task: Task) -> Problem | None:
    """Good answers may repeat the question's words, but not its question mark."""
    if task.question.endswith(("?", "？")) and task.question in text:
        return Problem("echo", "repetition of the question")
    if any(sentence in text for sentence in prompt_sentences(task)):
        return Problem("echo", "repetition of the prompt", "prompt")
    if GOES_ON.search(text):
        return Problem("echo", "another question or answer after the answer", "goes_on")
    return None


def check_no_placeholder(text: str, task: Task) -> Problem | None:
    """Finds blanks, and other forms of the surrogate name."""
    if task.surrogate and contains_surrogate(text.replace(task.tag, ""), task.surrogate):
        return Problem("placeholder", f"another form of the surrogate name {task.surrogate}", "surrogate")
    found = PLACEHOLDER.search(text)
    if found is None or PLACEHOLDER.search(remove_quotations(text).replace(task.tag, "")) is None:
        return None
    return Problem("placeholder", f"unfilled placeholder {found[0]}", found=found[0])


def check_no_markup(text: str, task: Task) -> Problem | None:
    """Also finds ``<image>`` and the like, which training code would replace by an image."""
    return Problem("unknown_markup", "chat template markup") if MARKUP.search(text) else None


def check_no_unknown_tag(text: str, task: Task) -> Problem | None:
    """Allows tags in the question and in quotations, such as text on a screen.

    Closing tags are never allowed: the model used the tag as XML markup, not as a name.
    """
    rest = text.replace(task.tag, "")
    if ("<" not in rest and "＜" not in rest) or not TAG_LIKE.search(rest):
        return None
    closing = f"</{task.tag[1:]}"
    if closing.lower() in rest.lower():
        return Problem("unknown_tag", f"closing tag {closing}", "closing", closing)
    for found in TAG_LIKE.finditer(remove_quotations(rest)):
        if found[0] not in task.question and not is_comparison(found):
            return Problem("unknown_tag", f"unknown tag {found[0]}", found=found[0])
    return None


def is_comparison(found: re.Match[str]) -> bool:
    before, after = found.string[: found.start()][-1:], found.string[found.end() :][:1]
    return " " in found[0] and before.isalnum() and after.isalnum()


def check_no_loop(text: str, task: Task) -> Problem | None:
    words = text.split()
    loops = (
        (len(words) - len(set(words)) >= MAX_REPEATS and repeats_ngram(words, NGRAM_WORDS))
        or (
            (HAN_CHARACTER.search(text) or max(map(len, words), default=0) > LONGEST_WORD)
            and repeats_ngram(text, NGRAM_CHARACTERS)
        )
        or CHARACTER_RUN.search(text)
        or compresses_too_well(text)
    )
    return Problem("loop", "endless repetition") if loops else None


def repeats_ngram(items: Sequence[str], length: int) -> bool:
    # Counting single items first is cheap and excludes most texts.
    if len(items) < length + MAX_REPEATS or max(Counter(items).values()) <= MAX_REPEATS:
        return False
    ngrams = zip(*(items[start:] for start in range(length)), strict=False)
    return max(Counter(ngrams).values()) > MAX_REPEATS


def compresses_too_well(text: str) -> bool:
    if len(text) < MIN_COMPRESSIBLE_BYTES // 4:  # UTF-8 has at most 4 bytes per character.
        return False
    data = text.encode("utf-8", "replace")
    return len(data) >= MIN_COMPRESSIBLE_BYTES and len(zlib.compress(data, 1)) < LOOP_COMPRESSION_RATIO * len(data)


# Checks of answers about one tagged character. The first problem is reported, so the most specific checks come first.
TAGGED_ANSWER_CHECKS: tuple[Check, ...] = (
    check_not_empty,
    check_image_is_seen,
    check_no_refusal,
    check_no_stand_in,
    check_begins_with_tag,
    check_says_something,
    check_no_echo,
    check_not_about_task,
    check_no_placeholder,
    check_no_markup,
    check_no_unknown_tag,
    check_no_loop,
    check_language,
    check_no_real_name,
)
