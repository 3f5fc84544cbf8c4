"""How much likelier a text is as random characters than as a name.

Names have vowels between consonants, words in one case, and digits beside each other; a random text changes between all
of these. What follows what in names is counted, and the logarithms of the ratios to a random text are added up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from math import inf, log2
from typing import NamedTuple

# Vowel, consonant, both as capitals, digit, sign.
KINDS = "vcVCds"
# What follows each kind of character in names, in 1,000. Counted in 200,000 names of packages, files, models and
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
    # Of the kinds, in a random text.
    shares: tuple[tuple[str, float], ...]
    is_hexadecimal: bool = False


ALPHABETS = (
    Alphabet((("v", 6 / 64), ("c", 20 / 64), ("V", 6 / 64), ("C", 20 / 64), ("d", 10 / 64), ("s", 1 / 64))),
    Alphabet((("v", 6 / 36), ("c", 20 / 36), ("d", 10 / 36))),
    # With the hyphens of a UUID.
    Alphabet((("v", 2 / 16), ("c", 4 / 16), ("d", 10 / 16), ("s", 1 / 32)), is_hexadecimal=True),
)


def measure_randomness(text: str, least: int = 1) -> float:
    """In bits, of that stretch of at least ``least`` characters that has most of them."""
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
