"""The languages of questions and answers. Detects the scripts and the language of a text."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from persqa_client.function_words import COMMON_LANGUAGES, DISTINCTIVE_LETTERS, FUNCTION_WORDS
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.quotations import remove_marked
from persqa_client.types import QuestionLanguage

LANGUAGES: tuple[str, ...] = get_args(QuestionLanguage)
# Other words that users write, in lower case.
LANGUAGE_SYNONYMS = {
    "en": ("eng", "english", "英文", "英语"),
    "zh": ("zho", "cn", "chinese", "mandarin", "中文", "汉语", "简体中文"),
}

# The next three are parts of patterns; HAN and UNSPACED go inside a character class.
HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Scripts without spaces between words: a Latin word may directly follow their characters.
UNSPACED = HAN + r"\u3040-\u30ff"
# A letter next to a name makes it part of a longer word. ``\b`` does not work between Latin and Chinese.
SPACED_LETTER = rf"[^\W{UNSPACED}]"

HAN_CHARACTER = compile_lazily(f"[{HAN}]")
TAGS = compile_lazily(r"<[^<>\n]{1,42}>")
LATIN_LETTER = r"A-Za-z\u00c0-\u024f\u1e00-\u1eff"
LATIN_WORDS = compile_lazily(rf"[{LATIN_LETTER}]+(?:['’\-][{LATIN_LETTER}]+)*")
OTHER_LETTERS = compile_lazily(rf"[^\W\d_A-Za-zªµº\u00c0-\u024f\u1e00-\u1eff\uff21-\uff5a{HAN}]")

Script = Literal["han", "latin"]

# Each script by its letters; Latin and Chinese are counted apart.
SCRIPTS: dict[str, re.Pattern[str]] = {
    "kana": compile_lazily(r"[\u3041-\u3096\u30a1-\u30fa]"),
    "hangul": compile_lazily(r"[\uac00-\ud7af\u1100-\u11ff\u3131-\u318e]"),
    "cyrillic": compile_lazily(r"[\u0400-\u04ff]"),
    "arabic": compile_lazily(r"[\u0620-\u064a\u066e-\u06d3]"),
    "devanagari": compile_lazily(r"[\u0900-\u097f]"),
    "bengali": compile_lazily(r"[\u0980-\u09ff]"),
    "tamil": compile_lazily(r"[\u0b80-\u0bff]"),
    "thai": compile_lazily(r"[\u0e00-\u0e7f]"),
    "greek": compile_lazily(r"[\u0370-\u03ff\u1f00-\u1fff]"),
    "hebrew": compile_lazily(r"[\u05d0-\u05ea]"),
}
# The language of a script whose letters do not say more.
SCRIPT_LANGUAGES = {
    "kana": "ja",
    "hangul": "ko",
    "cyrillic": "ru",
    "arabic": "ar",
    "devanagari": "hi",
    "bengali": "bn",
    "tamil": "ta",
    "thai": "th",
    "greek": "el",
    "hebrew": "he",
}
# Letters that Russian and Arabic do not have.
OTHER_CYRILLIC = (
    ("uk", compile_lazily(r"[іїєґ]|\b(?:що|хто|він|вона|його)\b", re.IGNORECASE)),
    ("be", compile_lazily("ў", re.IGNORECASE)),
)
OTHER_ARABIC = (("ur", compile_lazily("[ٹڈڑںھے]")), ("fa", compile_lazily("[پچژگیک]")))
# Chinese words that Japanese does not write, and Chinese words of questions.
CHINESE_WORDS = compile_lazily(r"[的吗嗎呢谁誰这這们們么麼哪]|什[么麼]")
OFTEN_CHINESE_KANA = "の"
ENGLISH_POSSESSIVE = compile_lazily(r"[>\"”]['’]s\b")
# French sets a space before these marks.
FRENCH_MARK = compile_lazily(r"[\w>»] ?[ \u00a0\u202f][?!;:](?!\S)")

LANGUAGES_OF_WORD: dict[str, list[str]] = {}
for _language, _words in FUNCTION_WORDS.items():
    for _word in _words:
        LANGUAGES_OF_WORD.setdefault(_word, []).append(_language)


def count_letters(letter: re.Pattern[str], text: str) -> int:
    # There are fewer runs of letters than letters.
    return len("".join(compile_run(letter.pattern).findall(text)))


@lru_cache
def compile_run(letter: str) -> re.Pattern[str]:
    return re.compile(f"{letter}+")


class ScriptCounts(NamedTuple):
    han: int  # Characters.
    latin_words: int
    lowercase_words: int  # Latin words without a capital letter, so neither brands nor names.
    other_letters: int


def count_scripts(text: str) -> ScriptCounts:
    plain = plain_text(text)
    words = LATIN_WORDS.findall(plain)
    if plain.isascii():
        han, others = 0, 0
    else:
        han, others = count_letters(HAN_CHARACTER, plain), count_letters(OTHER_LETTERS, plain)
    return ScriptCounts(han, len(words), sum(word.islower() for word in words), others)


@lru_cache(maxsize=1024)
def main_script(text: str) -> Script | None:
    count = count_scripts(text)
    if count.other_letters > max(count.han, count.latin_words) or not (count.han or count.latin_words):
        return None
    return "han" if count.han > count.latin_words else "latin"


@lru_cache(maxsize=1024)
def is_chinese(text: str) -> bool:
    return main_script(text) == "han" and detect_language(text) == "zh"


def prompt_language(question: str) -> QuestionLanguage:
    """The language of the texts around a question: of the prompt, of what asks again, of a surrogate name."""
    return "zh" if is_chinese(question) else "en"


def find_script(text: str) -> str | None:
    """The script, other than Latin, that most letters of the text belong to; a Japanese text has ``kana``."""
    if text.isascii():
        return None
    counts = {script: len(pattern.findall(text)) for script, pattern in SCRIPTS.items()}
    counts["han"] = len(HAN_CHARACTER.findall(text))
    if counts["kana"] and not is_chinese_with_kana(text, counts):
        counts["kana"] += counts.pop("han")
    script, count = max(counts.items(), key=lambda item: item[1])
    return script if count else None


def is_chinese_with_kana(text: str, counts: dict[str, int]) -> bool:
    """Chinese brands and signs use one Japanese letter (優の良品)."""
    return counts["kana"] == text.count(OFTEN_CHINESE_KANA) == 1 and CHINESE_WORDS.search(text) is not None


@lru_cache(maxsize=1024)
def detect_language(text: str) -> str | None:
    """The language of a question or an answer, without tags and quotations; None if it is unclear.

    One of the codes of ISO 639-1, also for languages that nothing else here knows.
    """
    plain = plain_text(text)
    script = find_script(plain)
    if script is not None:
        letters = len(HAN_CHARACTER.findall(plain)) if script == "han" else len(SCRIPTS[script].findall(plain))
        if letters > len(LATIN_WORDS.findall(plain)):
            return language_of_script(script, plain)
    scores = score_latin_languages(text)
    best = max(scores.values())
    likely = [language for language, score in scores.items() if score == best > 0]
    likely = [language for language in likely if language in COMMON_LANGUAGES] or likely
    return likely[0] if len(likely) == 1 else None


def plain_text(text: str) -> str:
    return TAGS.sub(" ", remove_marked(text))


def language_of_script(script: str, text: str) -> str:
    if script == "han":
        return "zh"
    for language, letters in {"cyrillic": OTHER_CYRILLIC, "arabic": OTHER_ARABIC}.get(script, ()):
        if letters.search(text):
            return language
    return SCRIPT_LANGUAGES[script]


def score_latin_languages(text: str) -> Counter[str]:
    """How many words of the text are frequent words of each language. Its marks and letters count too."""
    scores = Counter(dict.fromkeys(FUNCTION_WORDS, 0))
    for word in set(split_words(plain_text(text))):
        scores.update(LANGUAGES_OF_WORD.get(word, ()))
    scores["en"] += ENGLISH_POSSESSIVE.search(text) is not None
    scores["fr"] += FRENCH_MARK.search(text) is not None
    if not text.isascii():
        for language, letters in DISTINCTIVE_LETTERS.items():
            scores[language] += 2 * any(letter in letters for letter in text.lower())
    return scores


def split_words(text: str, *, lowercase: bool = False) -> list[str]:
    """Latin words in lower case, without names if ``lowercase``. The first two are a word of their own, and so are
    what precedes an apostrophe, and the English ending ``-ing``.
    """
    words = [word.replace("’", "'") for word in LATIN_WORDS.findall(text)]
    words = [word for word in words if word.islower()] if lowercase else [word.lower() for word in words]
    elided = [f"{word.partition(chr(39))[0]}'" for word in words if "'" in word]
    endings = ["-ing" for word in words if word.endswith("ing") and len(word) > 5]
    return [*words, *elided, *endings, "_".join(words[:2])]
