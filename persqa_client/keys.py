"""Recognizes what may be an API key, by its form, so that no message repeats it.

There is one measure, the randomness of a text, and the place decides how much of it is needed: much for any word of a
message, little in the place of a name, and after a beginning that keys have.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from persqa_client.randomness import TOKEN, measure_randomness

MASK = "…"

# A word of a message is a key with so many bits in a stretch of so many characters, in a longer text without a space.
KEY_BITS, KEY_STRETCH, KEY_LENGTH = 16.0, 14, 17
# Bits that raise a doubt about a name. Ordinary words are not longer, and neither are names.
DOUBT_BITS, WORD_LENGTH, NAME_LENGTH = 7.0, 15, 60

# A beginning that keys have is a hint, and so is the word before one.
HINT = re.compile(
    r"[srp]k[-_]|hf_|gsk_|xai-|nvapi-|pplx-|csk-|r8_|fw_|gh[a-z]_|github_pat_|glpat-|xox[a-z]-|ya29\.|AIza|eyJ|A[KS]IA"
)
AUTHORIZATION = re.compile(r"bearer|basic", re.IGNORECASE)
PARTS = re.compile(r"[-_./~:\s\\]+")

# Words of a message: without the signs that stand around or between them, in a sentence or a URL.
WORD = re.compile(r"[^\s'\"`,;:()=&?<>\[\]{}|@…]+")
HOST = re.compile(r"//[^/]*")
NAME = re.compile(r"[^/\\]+")
FOLDER_END = re.compile(r"[/\\]")
FILE_ENDING = re.compile(r"\.(?:[a-z]{1,11}|[A-Z]{1,11})\d{0,2}$")
# Words of a message around one of them that may belong to the same path, with spaces.
PATH_WORDS = 8


def may_be_key(text: str) -> bool:
    """Whether a text that should be the name of a variable may be the key itself. In doubt it is."""
    return len(text) > NAME_LENGTH or HINT.match(text) is not None or is_doubtful(text)


def is_doubtful(text: str) -> bool:
    """Whether it consists of more than ordinary words with a number perhaps."""
    return any(len(part) > WORD_LENGTH or measure_randomness(part) >= DOUBT_BITS for part in PARTS.split(text))


def begins_like_key(name: str) -> bool:
    """Not for the name of a file with an ending, and not if ordinary words follow, as in ``hf_photos``."""
    found = HINT.match(name)
    return found is not None and not FILE_ENDING.search(name) and is_doubtful(name[found.end() :])


def is_key(name: str) -> bool:
    """Whether a name or a word is a key by its form. The name of a file with an ending is none."""
    if FILE_ENDING.search(name):
        return False
    return begins_like_key(name) or has_random_token(name)


def has_random_token(text: str) -> bool:
    return any(
        len(token) >= KEY_LENGTH and measure_randomness(token, KEY_STRETCH) >= KEY_BITS for token in TOKEN.findall(text)
    )


def contains_key(text: str) -> bool:
    """Whether a word of the text is a key, also if a file has its name."""
    words = list(WORD.finditer(text))
    return any(_is_hinted(words, number) or find_keys(word[0]) for number, word in enumerate(words))


def mask_keys(message: str, shown: str = "") -> str:
    """Without what may be a key. What is ``shown`` stays, and so do files and folders that exist."""
    if shown and shown in message:
        before, _, after = message.partition(shown)
        return f"{mask_keys(before)}{shown}{mask_keys(after)}"
    words = list(WORD.finditer(message))
    parts: list[str] = []
    end = 0
    for number, word in enumerate(words):
        parts += (message[end : word.start()], mask_word(message, words, number))
        end = word.end()
    return "".join((*parts, message[end:]))


def mask_word(message: str, words: Sequence[re.Match[str]], number: int) -> str:
    word = words[number][0]
    # Words may begin with hyphens, as flags, and end with the full stop of a sentence.
    start, end = len(word) - len(word.lstrip("-")), len(word.rstrip(".!"))
    if _is_hinted(words, number):
        return f"{word[:start]}{MASK}{word[end:]}"
    if find_keys(word[start:end]) is None:
        return word
    start = max(start, len(find_known_part(message, words, number)))
    keys = find_keys(word[start:end])
    return word if keys is None else f"{word[: start + keys[0]]}{MASK}{word[start + keys[1] :]}"


def _is_hinted(words: Sequence[re.Match[str]], number: int) -> bool:
    follows_scheme = number > 0 and AUTHORIZATION.fullmatch(words[number - 1][0]) is not None
    return follows_scheme and is_doubtful(words[number][0])


def find_keys(path: str) -> tuple[int, int] | None:
    """Where keys are in a word, which may be a path. A key may have slashes in it, so all in between belongs to it."""
    names = [found for found in NAME.finditer(path) if not FILE_ENDING.search(found[0])]
    keys = [name for name in names if begins_like_key(name[0])]
    if has_random_token("/".join(name[0] for name in names)):
        keys += [name for name in names if is_doubtful(name[0])] or names
    return (min(key.start() for key in keys), max(key.end() for key in keys)) if keys else None


def find_known_part(message: str, words: Sequence[re.Match[str]], number: int) -> str:
    """The beginning of the word that is the host of a URL, or belongs to a path that exists, perhaps with spaces."""
    start, stop = words[number].span()
    if message[:start].endswith(":") and (host := HOST.match(message, start, stop)) is not None:
        return host[0]
    end = start
    around = range(max(0, number - PATH_WORDS), number + 1), range(number, min(len(words), number + PATH_WORDS))
    for first in around[0]:
        for last in around[1]:
            path = message[words[first].start() : words[last].end()].rstrip(".!")
            end = max(end, words[first].start() + find_existing_length(path, start - words[first].start()))
    return message[start : min(end, stop)]


def find_existing_length(path: str, least: int) -> int:
    """Of the longest part of the path that exists, file or folder, and is longer; 0 if none is."""
    ends = [len(path), *(found.start() for found in reversed(list(FOLDER_END.finditer(path))))]
    return next((end for end in ends if end > least and os.path.lexists(path[:end])), 0)
