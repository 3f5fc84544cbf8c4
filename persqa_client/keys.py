"""Recognizes what may be an API key by its form. No message and no file repeats such a text.

There is one measure, the randomness of a text: in bits, how much likelier it is as random characters than as a name.
Names have vowels between consonants, words in one case, and digits beside each other; a random text changes between all
of these. The place decides how many bits are needed: many for any word of a message, few in the place of a name, and
after a beginning that keys have.

Members of JSON values may be secrets by their names, too, such as ``{"api_key": "…"}`` in ``--extra-body``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from hashlib import blake2b
from math import inf, log2
from typing import Any, NamedTuple

# Vowel, consonant, both as capitals, digit, sign.
KINDS = "vcVCds"
# What follows each kind of character in names, in 1,000; the logarithms of the ratios to a random text are added up.
# Counted in 200,000 names of packages, files, models and
# identifiers, where those of models and in mixed case have more weight than their number. A name begins after a sign.
NAMES = {
    "v": (102, 791, 2, 9, 13, 84),
    "c": (444, 374, 3, 12, 20, 147),
    "V": (45, 694, 88, 110, 32, 31),
    "C": (657, 211, 26, 84, 10, 11),
    "d": (21, 95, 1, 4, 476, 403),
    "s": (132, 640, 24, 83, 95, 27),
}
# The share of hexadecimal digits among the letters of names.
HEXADECIMAL_LETTERS = {"v": 0.48, "c": 0.19}
HEXADECIMAL = frozenset("0123456789abcdef-_")
TOKEN = re.compile(r"[A-Za-z0-9+/_-]+")
RUN = re.compile(r"[A-Za-z0-9]+")


class Alphabet(NamedTuple):
    # Shares of the kinds of characters in a random text.
    shares: tuple[tuple[str, float], ...]
    is_hexadecimal: bool = False


ALPHABETS = (
    Alphabet((("v", 6 / 64), ("c", 20 / 64), ("V", 6 / 64), ("C", 20 / 64), ("d", 10 / 64), ("s", 1 / 64))),
    Alphabet((("v", 6 / 36), ("c", 20 / 36), ("d", 10 / 36))),
    # Hexadecimal digits, with the hyphens of a UUID.
    Alphabet((("v", 2 / 16), ("c", 4 / 16), ("d", 10 / 16), ("s", 1 / 32)), is_hexadecimal=True),
)


def measure_randomness(text: str, least: int = 1) -> float:
    """The randomness, in bits, of the most random stretch of at least ``least`` characters."""
    tokens = TOKEN.findall(RUN.sub(_lower_capitals, text))
    return max((bits for token in tokens for bits in _measure_token(token, least)), default=0.0)


def _lower_capitals(run: re.Match[str]) -> str:
    """A word in capitals alone is as usual as one in small letters."""
    return run[0].lower() if run[0].isupper() else run[0]


def _measure_token(token: str, least: int) -> Iterator[float]:
    kinds = [_kind_of(character) for character in token]
    for alphabet in ALPHABETS:
        gains = _count_gains(alphabet)
        most = bits = 0.0
        length, before = 0, "s"
        for character, kind in zip(token, kinds, strict=True):
            is_foreign = alphabet.is_hexadecimal and character not in HEXADECIMAL
            bits += -inf if is_foreign else gains.get(before + kind, -inf)
            length, before = length + 1, kind
            if bits <= 0:
                bits, length = 0.0, 0
            if length >= least:
                most = max(most, bits)
        yield most


@cache
def _count_gains(alphabet: Alphabet) -> dict[str, float]:
    """Bits for a kind after another; it has no kinds that the alphabet lacks."""
    letters = HEXADECIMAL_LETTERS if alphabet.is_hexadecimal else {}
    return {
        before + kind: log2(share * 1000 / (NAMES[before][KINDS.index(kind)] * letters.get(kind, 1.0)))
        for before in KINDS
        for kind, share in alphabet.shares
    }


def _kind_of(character: str) -> str:
    if character.isdigit():
        return "d"
    if not character.isalpha():
        return "s"
    kind = "v" if character in "aeiouyAEIOUY" else "c"
    return kind.upper() if character.isupper() else kind


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
    """Whether the word begins like a key. A file name with an ending, and a prefix before ordinary words
    (``hf_photos``), do not.
    """
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
    """Masks what may be a key. Texts in ``shown``, and files and folders that exist, stay."""
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
    """The places of keys in a word, which may be a path. A key may have slashes, so all in between belongs to it."""
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
    """Length of the longest part of the path that exists, file or folder, if it is more than ``least``; else 0."""
    ends = [len(path), *(found.start() for found in reversed(list(FOLDER_END.finditer(path))))]
    return next((end for end in ends if end > least and os.path.lexists(path[:end])), 0)


# The last word of a member's name. Numbers may be counts of tokens.
SECRET_WORDS = frozenset(
    {"key", "keys", "apikey", "secret", "secrets", "authorization", "auth", "bearer"}
    | {"password", "passwd", "passphrase", "credential", "credentials"}
)
TOKEN_WORD = "token"
MEMBER_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_]+")
MIN_SECRET_LENGTH = 8
SECRET_DIGEST = re.compile(r"digest:[0-9a-f]{16}")
Secret = str | int | float


def hide_secrets(value: Any) -> Any:
    """Replaces secrets by their digests. Digests do not change if this is repeated."""
    return _replace_secrets(value, _digest_secret)


def mask_secrets(value: Any) -> Any:
    """Replaces secrets and their digests by the mask."""
    return _replace_secrets(value, lambda secret: MASK)


def list_secrets(value: Any) -> list[str]:
    """Lists the secrets, without those that may be ordinary words."""
    found: list[str] = []

    def note(secret: Secret) -> str:
        found.append(str(secret))
        return MASK

    _replace_secrets(value, note)
    return [secret for secret in found if len(secret) >= MIN_SECRET_LENGTH and not secret.isalpha()]


def _digest_secret(secret: Secret) -> str:
    text = str(secret)
    return text if SECRET_DIGEST.fullmatch(text) else f"digest:{blake2b(text.encode(), digest_size=8).hexdigest()}"


def _replace_secrets(value: Any, change: Callable[[Secret], str], name: str = "") -> Any:
    """``name``: of the member that has the value, or of one around it that is a secret."""
    match value:
        case dict():
            return {each: _replace_secrets(item, change, name or _secret_name(each)) for each, item in value.items()}
        case list() | tuple():
            return [_replace_secrets(item, change, name) for item in value]
        case str():
            is_secret = bool(value) and (
                bool(name) or contains_key(value) or SECRET_DIGEST.fullmatch(value) is not None
            )
            return change(value) if is_secret else value
        case int() | float() if not isinstance(value, bool) and name not in ("", TOKEN_WORD):
            return change(value)
    return value


def _secret_name(name: str) -> str:
    """The word that makes a member a secret; empty if none does."""
    words = MEMBER_WORDS.findall(name)
    last = words[-1].lower() if words else ""
    return last if last in SECRET_WORDS or last == TOKEN_WORD else ""
