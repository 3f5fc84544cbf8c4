"""Patterns of answers: a sentence that begins with the tag or a surrogate name, and continues about it.

A pattern only steers a model. It makes the likeliest bad answers impossible, such as a tag before a sentence about
somebody else; the checks of answers decide.

Patterns run in the grammars of servers (xgrammar, guidance, outlines). These have no look-around and no ``\\b``, and
differ in their escapes, so patterns consist of literal characters, classes and plain repetitions. None is counted:
xgrammar then computes the allowed tokens a hundred times slower, and takes longer than vLLM's 5 seconds to compile
``{0,1000}`` for a vocabulary of 150,000 tokens. ``max_tokens`` bounds an answer that does not end; it is truncated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from persqa_client.language import OTHER_LETTERS, TAGS, detect_language, main_script


def ranges(*spans: str, without: str = "") -> str:
    """The inside of a character class: the characters of ``spans`` such as ``az``, except for those in ``without``."""
    characters: list[str] = []
    for span in spans:
        first, last = span[0], span[1]
        start = ord(first)
        for excluded in sorted(ord(one) for one in without if first <= one <= last):
            characters += _span(start, excluded - 1)
            start = excluded + 1
        characters += _span(start, ord(last))
    return "".join(characters)


def _span(first: int, last: int) -> Iterable[str]:
    if last - first > 1:
        return (f"{chr(first)}-{chr(last)}",)
    return (chr(code) for code in range(first, last + 1))


def lower_case(*spans: str) -> str:
    """The lower-case letters of scripts in which capital and small letters alternate."""
    return "".join(chr(code) for span in spans for code in range(ord(span[0]), ord(span[1]) + 1) if chr(code).islower())


LATIN_LOWER = ranges("az", "ßö", "øÿ") + lower_case("Āſ", "Ơư", "Ạỹ")
LETTERS_LOWER = LATIN_LOWER + ranges("άώ", "аџ") + lower_case("Ґґ")
ARABIC = ranges("\u0620\u064a", "\u0671\u06d3")
DEVANAGARI = ranges("\u0904\u0939", "\u0958\u0961")
HANGUL = ranges("가힣")
KANA = ranges("ぁゖ", "ァヺ")
# Scripts without capital letters, the ones above included.
CASELESS = ranges("\u05d0\u05ea", "\u0620\u06d3", "\u0900\u109f", "\u10d0\u10ff", "\u1200\u137f", "\u1780\u17b3") + (
    HANGUL + KANA + ranges("一鿿")
)
CLOSERS = "\"'”“’»›」』）)\\]】》*`_"


@dataclass(frozen=True, slots=True)
class SentenceForm:
    """How a sentence continues after its subject, and how it ends.

    ``starts``: patterns of what follows the name. ``ends``: characters that end a sentence, none if the script needs
    none.
    """

    starts: tuple[str, ...]
    ends: str


def spaced_starts(letters: str, *more: str) -> tuple[str, ...]:
    """A space and a word that begins with one of ``letters``, a possessive, an aside, words in brackets."""
    return (f"['’][{letters}]", rf"(?:,|…|\.\.\.)? [{letters}0-9]", rf" \([{letters}]", *more)


# Capital letters begin a new sentence; "I" is allowed where the aside goes on about the picture.
ENGLISH_ASIDE = ", I (?:believe|think|guess|suppose|assume|would say)"
CHINESE_ASIDE = "，(?:据)?我(?:猜|想|看|觉得|认为|估计|推测)"
# Han characters that begin another sentence: pronouns, and the first of two where both words are honest starts.
CHINESE_SUBJECTS = "他她它您你我咱"
CHINESE_PAIRS = {"图": "中片像里上内", "照": "片", "画": "面中里", "抱": "歉", "对": "不", "很": "抱"}
CHINESE_START = (
    f"[{ranges('㐀䶿', '一鿿', without=CHINESE_SUBJECTS + ''.join(CHINESE_PAIRS) + '非')}0-9（]",
    *(f"{first}[^{second}]" for first, second in CHINESE_PAIRS.items()),
    "非(?:[^常]|常[^抱遗])",
)
JAPANESE_PARTICLES = "はがのもをにとでへや"
JAPANESE_WORDS = "から|より|って|さん|ちゃん|くん|君|様|氏|たち|自身|以外"
# Endings of a noun; 이 and 은 depend on the sound before them.
KOREAN_PARTICLES = "은는이가의을를와과도에만로으께한처까부보라랑씨님"

FORMS = {
    "latin": SentenceForm(spaced_starts(LATIN_LOWER, ENGLISH_ASIDE), ".!?…"),
    "han": SentenceForm((*CHINESE_START, " ?的", CHINESE_ASIDE), "。！？…"),
    "japanese": SentenceForm((f" ?(?:[{JAPANESE_PARTICLES}（]|{JAPANESE_WORDS})",), "。！？…"),
    "korean": SentenceForm((f" ?[{KOREAN_PARTICLES}]", f" [{HANGUL}]", r" ?\("), ".!?…。"),
    # Russian has no verb in "X — a doctor".
    "cyrillic": SentenceForm(spaced_starts(ranges("аџ", "ґґ"), f" [—–-] [{ranges('аџ')}]"), ".!?…"),
    "arabic": SentenceForm((f"[،,]? [{ARABIC}0-9٠-٩]", rf" \([{ARABIC}]"), ".!؟?…۔"),
    "devanagari": SentenceForm((f" ?[{DEVANAGARI}]", rf" \([{DEVANAGARI}]"), "।॥.!?…"),
    # Thai, Lao or Khmer sentences end without a mark.
    "other": SentenceForm((f" ?[{CASELESS}]", *spaced_starts(LETTERS_LOWER, f" [—–-] [{LETTERS_LOWER}]")), ""),
}

LANGUAGE_FORMS = {"zh": "han", "ja": "japanese", "ko": "korean", "ru": "cyrillic", "ar": "arabic", "hi": "devanagari"}
OTHER_SCRIPTS = {
    "korean": re.compile(f"[{HANGUL}]"),
    "cyrillic": re.compile(r"[\u0400-\u052f]"),
    "arabic": re.compile(r"[\u0600-\u06ff]"),
    "devanagari": re.compile(r"[\u0900-\u097f]"),
}


@lru_cache(maxsize=1024)
def choose_form(question: str) -> str:
    """The key in ``FORMS`` for answers in the language of the question."""
    plain = TAGS.sub(" ", question)
    if plain.isascii():
        return "latin"
    # A word in another script does not change the language: 在KTV唱什么歌.
    if (form := LANGUAGE_FORMS.get(detect_language(question) or "")) is not None:
        return form
    if (script := main_script(question)) is not None:
        return script
    counts = {name: len(letter.findall(plain)) for name, letter in OTHER_SCRIPTS.items()}
    name = max(counts, key=counts.__getitem__)
    return name if 2 * counts[name] > len(OTHER_LETTERS.findall(plain)) else "other"


# The last item of a list ends without a full stop. Line breaks are in classes with other characters, because they are
# left out inside JSON.
LIST_ITEM = r"[\n•] *(?:[-*•–]|[0-9]+[.)、]) [^\n]+"


@lru_cache(maxsize=4096)
def sentence_pattern(name: str, form: str) -> str:
    """Pattern of answers of one or more sentences that begin with the name. ``form``: a key of ``FORMS``."""
    return build_pattern(name, FORMS[form])


@lru_cache(maxsize=4096)
def word_answer_pattern(name: str) -> str:
    """Pattern of answers that are the name and a word or a phrase on the same line."""
    # A letter right behind a Latin name would make another name of it.
    between = "(?:[:：] ?| )" if name[-1:].isascii() and name[-1:].isalpha() else "[:：]? ?"
    return escape_name(name) + between + r"[^\s.,:;!?…。，：；！？<>][^\n]*"


def escape_name(name: str) -> str:
    return re.escape(name).replace(r"\-", "-")


def build_pattern(name: str, shape: SentenceForm) -> str:
    """No start begins with a Latin letter, so a Latin name is not the beginning of a longer word."""
    end = rf"[\s\S]*(?:[{shape.ends}][{CLOSERS}]?[{CLOSERS}]?|{LIST_ITEM})" if shape.ends else r"[\s\S]+"
    return escape_name(name) + f"(?:{'|'.join(shape.starts)})" + end


def list_patterns(forms: Mapping[str, SentenceForm] = FORMS) -> dict[str, str]:
    """Patterns with an empty tag, by form."""
    return {form: build_pattern("<>", shape) for form, shape in forms.items()}
