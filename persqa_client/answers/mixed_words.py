"""Finds words with letters of two scripts: "derжит"."""

from __future__ import annotations

import re

# Letters of another script within a word. A particle may follow a brand with capital letters (iPhoneом), and in
# Korean a word with Latin letters.
CYRILLIC_MIX = re.compile(r"(?<![\w'’-])(?=\w*(?:[a-z][\u0400-\u04ff]|[\u0400-\u04ff][a-z]))[^\W\dA-Z_]{4,}(?![\w-])")
KOREAN_MIX = re.compile(r"[\uac00-\ud7a3](?<![티브반긴])[a-z]{2,}[\uac00-\ud7a3]")
ARABIC_MIX = re.compile(
    r"[\u0621-\u063a\u0641-\u064a]{2}(?<!\wال)(?<!\bال)[a-z]{2,}"
    r"|(?<!\w)[a-z]{2,}[\u0621-\u063a\u0641-\u064a]{2}"
)
CYRILLIC = re.compile(r"[\u0400-\u04ff]")
LATIN_SMALL = re.compile("[a-z]")


# The letters of the other script, and the mix.
MIXES = {
    **dict.fromkeys(("en", "es", "fr", "de", "pt"), (CYRILLIC, CYRILLIC_MIX)),
    "ru": (LATIN_SMALL, CYRILLIC_MIX),
    "ko": (LATIN_SMALL, KOREAN_MIX),
    "ar": (LATIN_SMALL, ARABIC_MIX),
}


def find_mixed_word(text: str, language: str) -> str:
    """``text`` is what follows the tag."""
    if text.isascii() or language not in MIXES:
        return ""
    others, mix = MIXES[language]
    found = mix.search(text) if others.search(text) else None
    return found[0] if found else ""
