"""Finds what makes an accepted answer doubtful: signs that rules can't settle, each with its code."""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.language import HAN_CHARACTER, LATIN_WORDS, OTHER_LETTERS, UNSPACED, count_scripts, is_chinese
from persqa_client.quotations import remove_quotations
from persqa_client.types import Task

# Whole terms in lower case, by language; an apostrophe stands for each form of it.
# Uncertainty that leaves nothing of the answer if it stands in its first clause. Later it is about a detail.
HEDGES = {
    "en": (
        *("might be", "may be", "could be", "possibly", "perhaps", "maybe", "presumably", "probably", "unclear"),
        *("not clear", "not sure", "not certain", "uncertain", "hard to tell", "hard to say", "hard to see"),
        *("difficult to tell", "difficult to say", "difficult to see", "difficult to determine", "impossible to tell"),
        *("can't be determined", "cannot be determined", "can't be seen", "cannot be seen", "can't be made out"),
    ),
    "zh": (
        *("可能", "也许", "或许", "大概", "不确定", "不清楚", "看不清", "看不出", "难以", "很难"),
        *("无法确定", "无法判断", "无法看出", "不能确定", "不好说", "说不准"),
    ),
}
# Words of refusals anywhere in the answer. The checks have found that they refuse less than the whole.
REFUSAL_WORDS = {
    "en": (
        *("i can't", "i cannot", "i can not", "i couldn't", "i could not", "i won't", "i will not", "i don't know"),
        *("i do not know", "i'm not able", "i am not able", "i'm unable", "i am unable", "unable to", "i'm sorry"),
        *("i am sorry", "apologize", "apologise", "decline to", "not allowed to", "as an ai", "can't be identified"),
        *("cannot be identified", "not possible to identify"),
    ),
    "zh": (
        *("我无法", "我不能", "我没办法", "我不知道", "无法识别", "无法辨认", "无法确认", "不能识别", "不能确认"),
        *("抱歉", "对不起", "拒绝回答", "无法回答", "不便回答", "不便透露"),
    ),
}
# Words of English questions that other languages in Latin letters do not have.
ENGLISH_WORDS = frozenset(
    (
        *("what", "which", "who", "whom", "whose", "where", "when", "why", "how", "is", "are", "does", "did", "were"),
        *("can", "could", "the", "this", "that", "there", "and", "with", "describe", "tell"),
    )
)
CLAUSE = re.compile(r"[^,.;:!?\n，。；：！？、]*")
LOWERCASE_LATIN = re.compile(r"[a-z]")

# Two words, or three characters of a script without spaces. Less is hardly an answer: "<mam> stands."
SUBSTANCE = re.compile(rf"(?<!['’])\b[^\W_]+\W+[^\W_]|(?:[{UNSPACED}]\W*){{3}}")
# A Chinese answer may have one or two English words, such as 印有 logo 的 T恤.
MAX_LATIN_WORDS = 2


def find_doubts(text: str, task: Task, steps: tuple[str, ...] = (), refused: str | None = None) -> tuple[str, ...]:
    """Codes of an answer that has passed the checks, most of them none.

    ``steps``: repairs of the answer. ``refused``: code of an earlier answer to the question that was rejected.
    """
    doubts = []
    # After a truncated answer the same question is asked, only with more room.
    if refused is not None and refused != "truncated":
        doubts.append("re_asked")
    if "tag_bare" in steps:
        doubts.append("bare_name")
    said = text.replace(task.tag, " ")
    language = find_checked_language(task.question)
    if language is None:
        doubts.append("unchecked_language")
    else:
        lowered = said.lower().replace("’", "'")
        if has_term(HEDGES[language], lowered, first_clause=True):
            doubts.append("hedged")
        if has_term(REFUSAL_WORDS[language], lowered):
            doubts.append("refusal_words")
    if not SUBSTANCE.search(said):
        doubts.append("short")
    if has_other_script(said, language):
        doubts.append("other_script")
    return tuple(doubts)


@lru_cache(maxsize=1024)
def find_checked_language(question: str) -> str | None:
    """The question's language, if there are phrases for it."""
    if is_chinese(question):
        return "zh"
    words = {word.lower() for word in LATIN_WORDS.findall(question)}
    return None if words.isdisjoint(ENGLISH_WORDS) else "en"


def has_term(terms: tuple[str, ...], lowered: str, *, first_clause: bool = False) -> bool:
    """Whether one of the terms stands in the answer as a whole, outside of quotations."""
    found = [term for term in terms if term in lowered]
    if not found:
        return False
    own = remove_quotations(lowered)
    if first_clause:
        clause = CLAUSE.match(own.lstrip())
        own = clause[0] if clause else ""
    return any(find_whole(term).search(own) for term in found)


@lru_cache(maxsize=256)
def find_whole(term: str) -> re.Pattern[str]:
    # \b does not work next to Chinese characters, which are words of their own.
    return re.compile(re.escape(term) if HAN_CHARACTER.search(term) else rf"\b{re.escape(term)}\b")


def has_other_script(said: str, language: str | None) -> bool:
    """Quotations do not count. Without a checked language, the check of the language has to do."""
    if said.isascii() and (language == "en" or not LOWERCASE_LATIN.search(said)):
        return False
    if language == "en" and (HAN_CHARACTER.search(said) or OTHER_LETTERS.search(said)):
        count = count_scripts(said)
        return count.han + count.other_letters > 0
    if language == "zh" and (LOWERCASE_LATIN.search(said) or OTHER_LETTERS.search(said)):
        count = count_scripts(said)
        return count.lowercase_words > MAX_LATIN_WORDS or count.other_letters > 0
    return False
