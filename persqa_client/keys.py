"""Recognizes what may be an API key, by its form, so that no message repeats it."""

from __future__ import annotations

import re

MASK = "…"
# A part of an ordinary name of a variable, a file or a program.
ORDINARY_PART = re.compile(r"(?:[A-Z]?[a-z]{0,15}|[A-Z]{1,15})\d{0,2}")
PARTS = re.compile(r"[-_./~:\s]+")
KEY_START = re.compile(r"sk[-_]|hf_|gsk_|xai-|nvapi-|pplx-|csk-|r8_|gh[pous]_|AIza|eyJ")
BEARER = re.compile(r"bearer\b", re.IGNORECASE)
MAX_NAME_LENGTH = 60

# Words of a message: without the signs that stand around or between them, in a sentence or a URL.
WORD = re.compile(r"[^\s'\"`,;:()=&?<>\[\]{}|@…]+")
FILE_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}$")
UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# A random text of this length changes between letters and digits more often than a name does.
RANDOM_LENGTH, RANDOM_CHANGES = 20, 4
CHANGE = re.compile(r"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])")


def may_be_key(text: str) -> bool:
    """Whether a text that should be the name of a variable may be the key itself. In doubt it is."""
    return (
        KEY_START.match(text) is not None
        or BEARER.match(text) is not None
        or len(text) > MAX_NAME_LENGTH
        or not all(ORDINARY_PART.fullmatch(part) for part in PARTS.split(text))
    )


def begins_like_key(word: str) -> bool:
    """Not for the name of a file with an ending, and not if ordinary words follow, as in ``hf_photos``."""
    found = KEY_START.match(word)
    if found is None or FILE_SUFFIX.search(word):
        return False
    return not all(ORDINARY_PART.fullmatch(part) for part in PARTS.split(word[found.end() :]))


def is_random(word: str) -> bool:
    """As keys without a beginning of their own are: hexadecimal digits, a UUID, or other mixed letters and digits."""
    if "/" in word or "\\" in word or FILE_SUFFIX.search(word):
        return False
    return UUID.fullmatch(word) is not None or any(
        len(part) >= RANDOM_LENGTH and len(CHANGE.findall(part)) >= RANDOM_CHANGES for part in PARTS.split(word)
    )


def mask_keys(message: str) -> str:
    """Without what may be a key. The names of files, models and variables are kept."""
    return WORD.sub(lambda found: mask_word(found[0]), message)


def mask_word(word: str) -> str:
    """Words of a message may begin with hyphens, as flags, and end with the full stop of a sentence."""
    bare = word.lstrip("-").rstrip(".!")
    if is_random(bare):
        return word.replace(bare, MASK)
    # A relative path may have been made absolute.
    for name in bare.replace("\\", "/").split("/"):
        if begins_like_key(name):
            word = word.replace(name, MASK)
    return word
