"""Finds texts whose bytes were read in another encoding."""

from __future__ import annotations

import re

# UTF-8 read as Latin-1 or Windows-1252: a lead byte and its continuation bytes.
CONTINUATION = "[\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
MOJIBAKE = re.compile(
    rf"[ÂÃÐÑØÙÅÄà-ï]{CONTINUATION}(?:(?<=[ÂÃ].)|(?<=[ÐÑØÙÅÄ].)(?=[ÐÑØÙÅÄ])|(?<=[à-ï].){CONTINUATION})"
)
MIN_MOJIBAKE = 2
# What other languages are read as by mistake. Their own texts are UTF-8 in none of these, but for a letter by chance.
LEGACY_ENCODINGS = {"ru": "cp1251", "ar": "cp1256", "ja": "cp932", "zh": "gbk"}
# What the first bytes of the language's letters in UTF-8 become: a cheap search, for ordinary answers.
LEADS = {"ru": "РС", "ar": "طظ", "ja": "縺繧繝", "zh": "鐨鍦鐫姝涓鎴"}
MIN_LEADS = 2
OWN_LETTERS = {
    "ru": re.compile("[\u0400-\u04ff]"), "ar": re.compile("[\u0600-\u06ff]"),
    "ja": re.compile("[\u3040-\u30ff\u4e00-\u9fff]"), "zh": re.compile("[\u4e00-\u9fff]"),
}  # fmt: skip
MIN_DECODED = 4
LONGEST_SHOWN = 20


def find_mojibake(text: str, language: str) -> str:
    """The wrong characters, or empty."""
    wrong = MOJIBAKE.findall(text)
    if len(wrong) >= MIN_MOJIBAKE:
        return str(wrong[0])
    return text[text.find(">") + 1 :].strip()[:LONGEST_SHOWN] if is_wrongly_decoded(text, language) else ""


def is_wrongly_decoded(text: str, language: str) -> bool:
    """Whether most of the text is UTF-8 that was read in an old encoding of the language."""
    if sum(map(text.count, LEADS.get(language, ""))) < MIN_LEADS:
        return False
    encoded = text.encode(LEGACY_ENCODINGS[language], "ignore")
    letters = OWN_LETTERS[language].findall(encoded.decode("utf-8", "ignore"))
    others = len(encoded) - len(encoded.decode("ascii", "ignore"))
    return len(letters) >= MIN_DECODED and 2 * len("".join(letters).encode()) > others
