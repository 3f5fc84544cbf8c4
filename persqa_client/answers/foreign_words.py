"""Finds a clause or a word of another language within a sentence of the right one."""

from __future__ import annotations

import re
from functools import lru_cache

from persqa_client.function_words import FUNCTION_WORDS
from persqa_client.language import LATIN_WORDS

# Languages that models slide into, and that share their letters.
LATIN_LANGUAGES = ("en", "es", "fr", "de", "pt", "it", "nl")
# So many of so many words in a row are function words of another language, and none is one of the right language alone.
CLAUSE_WORDS, MIN_FOREIGN = 6, 3
# Three Latin words in small letters, one of which is a frequent English one, in a script of another kind.
LATIN_RUN = re.compile(r"(?<![\w'’-])[a-z'’]+(?: [a-z'’]+){2,}(?![\w-])")
# Japanese words are written in Japanese letters outside of Japan too seldom to be a name.
HIRAGANA = re.compile(r"[\u3041-\u3096]{2,}")
HIRAGANA_LANGUAGES = ("ko", "ru", "ar", "en", "es", "fr", "de", "pt")
# Chinese grammar in letters that Japanese has too.
CHINESE_GRAMMAR = re.compile(r"正在(?!庫)|[拿坐站]着(?![いたてるかさせまこ])|[，,]手里|[坐站穿戴拿]在")
HAN_RUN = re.compile(r"[\u3400-\u9fff]+")


@lru_cache
def words_of_others(asked: str) -> frozenset[str]:
    others = (FUNCTION_WORDS[language] for language in LATIN_LANGUAGES if language != asked)
    return frozenset().union(*others) - FUNCTION_WORDS[asked]


def may_have_foreign_clause(text: str, asked: str) -> bool:
    """Cheap, for ordinary answers."""
    return len(words_of_others(asked).intersection(text.split())) >= MIN_FOREIGN


def has_foreign_clause(text: str, asked: str) -> bool:
    """Whether a clause is in another language with Latin letters. Words with a capital letter are names."""
    own = FUNCTION_WORDS[asked]
    words = [word.replace("’", "'") if word.islower() else "" for word in LATIN_WORDS.findall(text)]
    for language in LATIN_LANGUAGES:
        if language == asked:
            continue
        theirs = FUNCTION_WORDS[language]
        marks = [(word in theirs) - (word in own) for word in words]
        if marks.count(1) < MIN_FOREIGN:
            continue
        windows = (marks[start : start + CLAUSE_WORDS] for start in range(max(1, len(marks) - CLAUSE_WORDS + 1)))
        if any(window.count(1) >= MIN_FOREIGN and -1 not in window for window in windows):
            return True
    return False


def has_english_run(text: str) -> bool:
    return any(FUNCTION_WORDS["en"].intersection(run.split()) for run in LATIN_RUN.findall(text))


def has_hiragana(text: str, asked: str) -> bool:
    return asked in HIRAGANA_LANGUAGES and HIRAGANA.search(text) is not None


def has_chinese_words(text: str) -> bool:
    """In Japanese: letters that only Chinese has since the reforms, or Chinese grammar."""
    if CHINESE_GRAMMAR.search(text):
        return True
    return any(is_chinese_only(letter) for run in HAN_RUN.findall(text) for letter in run)


@lru_cache(maxsize=4096)
def is_chinese_only(letter: str) -> bool:
    """Whether the Chinese standard has the letter and the Japanese ones don't."""
    return can_encode(letter, "gb2312") and not can_encode(letter, "euc_jisx0213")


def can_encode(letter: str, encoding: str) -> bool:
    try:
        letter.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
