"""Finds UTF-8 text that was read in an old encoding: "cafÃ©", "РЎРёРґ"."""

from __future__ import annotations

from persqa_client.lazy_pattern import compile_lazily

# UTF-8 read as Latin-1 or Windows-1252: a lead byte and its continuation bytes.
CONTINUATION = "[\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
MOJIBAKE = compile_lazily(
    rf"[ÂÃÐÑØÙÅÄà-ï]{CONTINUATION}(?:(?<=[ÂÃ].)|(?<=[ÐÑØÙÅÄ].)(?=[ÐÑØÙÅÄ])|(?<=[à-ï].){CONTINUATION})"
)
MIN_MOJIBAKE = 2
LEAD_AND_REST = compile_lazily(rf"[ÐÑØÙã-í]{CONTINUATION}(?:(?<=[ÐÑØÙ].)|{CONTINUATION})")
# One is enough behind or before small letters, where no capital stands; and where it means a letter of another script.
MOJIBAKE_IN_WORD = compile_lazily(r"(?<=[a-z])Ã[\u0080-\u00bf]|Ã[\u0080-\u00bf](?=[a-z])|â€[\u2122\u0153\u009d\u02dc]")
# Legacy encodings as which UTF-8 text is misread. Correct text in such an encoding is rarely valid UTF-8.
LEGACY_ENCODINGS = {"ru": "cp1251", "ar": "cp1256", "ja": "cp932", "zh": "gbk"}
# What the first bytes of the language's letters in UTF-8 become: a cheap search, for ordinary answers.
LEADS = {"ru": "РС", "ar": "طظ", "ja": "縺繧繝", "zh": "鐨鍦鐫姝涓鎴"}
MIN_LEADS = 2
OWN_LETTERS = {
    "ru": compile_lazily("[\u0400-\u04ff]"), "ar": compile_lazily("[\u0600-\u06ff]"),
    "ja": compile_lazily("[\u3040-\u30ff\u4e00-\u9fff]"), "zh": compile_lazily("[\u4e00-\u9fff]"),
    "ko": compile_lazily("[\uac00-\ud7a3]"),
}  # fmt: skip
MIN_DECODED = 4


def find_mojibake(text: str, language: str) -> str:
    """The wrong characters, or empty."""
    wrong = MOJIBAKE.findall(text)
    if len(wrong) >= MIN_MOJIBAKE:
        return str(wrong[0])
    if own := OWN_LETTERS.get(language):
        parts = LEAD_AND_REST.findall(text)
        wrong = [part for part in parts if own.search(decode(part))]
    elif "Ã" in text or "â€" in text:
        wrong = MOJIBAKE_IN_WORD.findall(text)
    else:
        wrong = []
    if wrong:
        return str(wrong[0])
    return text[text.find(">") + 1 :].strip()[:20] if is_wrongly_decoded(text, language) else ""


def decode(text: str) -> str:
    """UTF-8 that was read as Windows-1252, which lacks a few bytes."""
    encoded = b"".join(letter.encode("latin-1" if letter < "\u0100" else "cp1252", "ignore") for letter in text)
    return encoded.decode("utf-8", "ignore")


def is_wrongly_decoded(text: str, language: str) -> bool:
    """Whether most of the text is UTF-8 that was read in an old encoding of the language."""
    if sum(map(text.count, LEADS.get(language, ""))) < MIN_LEADS:
        return False
    encoded = text.encode(LEGACY_ENCODINGS[language], "ignore")
    letters = OWN_LETTERS[language].findall(encoded.decode("utf-8", "ignore"))
    others = len(encoded) - len(encoded.decode("ascii", "ignore"))
    return len(letters) >= MIN_DECODED and 2 * len("".join(letters).encode()) > others
