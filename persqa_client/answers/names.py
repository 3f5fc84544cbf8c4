"""Finds real names that answers must not contain, however they are spelled.

Names and answers are compared as letters: in one normal form, without case, and without the marks between the letters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from persqa_client.language import UNSPACED
from persqa_client.lazy_pattern import compile_lazily
from persqa_client.types import Problem, Task

HANGUL = r"\uac00-\ud7a3"
# A word, or a single character of a script without spaces.
PIECE = compile_lazily(rf"[{UNSPACED}]|[{HANGUL}]+|[^\W_{UNSPACED}{HANGUL}]+")
UNSPACED_CHARACTER = compile_lazily(f"[{UNSPACED}]")
# Characters that show nothing, and marks of Markdown: between letters they separate nothing.
INVISIBLE = r"\u00ad\u034f\u061c\u115f\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff"
UNPRINTED = compile_lazily(rf"[{INVISIBLE}*_~`]+")
# Marks that join the parts of a name: hyphens, dots, and combining marks, which have no composed form.
JOINING = compile_lazily(
    rf"(?:[-‐‑‒–—−.·•‧∙⋅*_~`{INVISIBLE}]|(?=[^\w\s])[^\x00-\u02ff\u2000-\u2bff\u3000-\u303f\uff00-\uffff])*"
)
APOSTROPHES = frozenset("'’‘´′")
SPACE = compile_lazily(r"[*_~`]*\.?[*_~`]*\s+[*_~`]*")
# Longer words before a full stop end a sentence.
LONGEST_INITIAL = 2
# Marks that count as letters.
AS_MARKS = str.maketrans("・ʼ", "·’")
PARTICLES = compile_lazily(
    r"(?:씨|님|군|양|선생님?)?(?:이?라는|이?라고|이?란|이?며|이?고|이?랑|이?나|이?다|입니다|이에요|예요|은|는|이|가|을|를|의|에|에게"
    r"|에게서|한테|께서?|와|과|도|만|로|으로|처럼|보다|까지|부터|마저|조차|야|아)?"
)
SHORTEST_START = 2


class Piece(NamedTuple):
    letters: str
    is_capital: bool
    is_unspaced: bool
    before: str  # What separates it from the piece before.


@dataclass(frozen=True, eq=False, slots=True)
class NameIndex:
    # For each name's letters, where the name itself is separated.
    splits: dict[str, frozenset[int]] = field(default_factory=dict)
    # For the first letters of names, the length of the longest name.
    lengths: dict[str, int] = field(default_factory=dict)

    def add(self, name: str) -> None:
        pieces = split_pieces(normalise(name))
        key = "".join(piece.letters for piece in pieces)
        if key:
            self.splits[key] = self.splits.get(key, frozenset()) | find_splits(normalise(name))
            start = key[:SHORTEST_START]
            self.lengths[start] = max(len(key), self.lengths.get(start, 0))

    def occurs_in(self, text: str) -> bool:
        normal = normalise(text)
        if self.occurs_in_pieces(split_pieces(normal)):
            return True
        printed = UNPRINTED.sub("", normal)
        return printed != normal and self.occurs_in_pieces(split_pieces(printed))

    def occurs_in_pieces(self, pieces: list[Piece]) -> bool:
        return any(self.begins_at(pieces, start) for start in range(len(pieces)))

    def begins_at(self, pieces: list[Piece], start: int) -> bool:
        letters = ""
        spaces: list[int] = []
        for number in range(start, len(pieces)):
            piece = pieces[number]
            if number > start:
                separation = separate(pieces[number - 1], piece)
                if separation == "end":
                    return False
                if separation == "space":
                    spaces.append(len(letters))
            letters += piece.letters
            if len(letters) >= SHORTEST_START and len(letters) > self.lengths.get(letters[:SHORTEST_START], 0):
                return self.is_name_with_particle(letters, piece, spaces)
            if self.is_name(letters, spaces) or self.is_name_with_particle(letters, piece, spaces):
                return True
        return False

    def is_name(self, letters: str, spaces: list[int]) -> bool:
        splits = self.splits.get(letters)
        return splits is not None and splits.issuperset(spaces)

    def is_name_with_particle(self, letters: str, last: Piece, spaces: list[int]) -> bool:
        if not "가" <= last.letters[0] <= "힣":
            return False
        return any(
            self.is_name(letters[:end], spaces) and PARTICLES.fullmatch(letters, end) is not None
            for end in range(len(letters) - len(last.letters) + 1, len(letters))
        )


def check_no_real_name(text: str, task: Task) -> Problem | None:
    """The problem does not contain the name, so that the re-ask does not reveal it."""
    if not task.names:
        return None
    index = index_names(SameNames(task.names))
    if index.occurs_in(text.replace(task.tag, " , ")) or occurs_with_tag(text, task):
        return Problem("name_leak", "a real name from --names")
    return None


def occurs_with_tag(text: str, task: Task) -> bool:
    """A repaired tag may be a part of a full name: ``<mam> Gilmore`` for ``Mam Gilmore``."""
    index = index_full_names(SameNames(task.names), task.tag[1:-1])
    return bool(index.splits) and index.occurs_in(text.replace(task.tag, task.tag[1:-1]))


@dataclass(frozen=True, slots=True)
class SameNames:
    """Equal only for the same tuple: comparing thousands of names takes longer than looking for them."""

    names: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SameNames) and self.names is other.names

    def __hash__(self) -> int:
        return id(self.names)


@lru_cache(maxsize=64)
def index_names(names: SameNames) -> NameIndex:
    index = NameIndex()
    for name in names.names:
        index.add(name)
    return index


@lru_cache(maxsize=256)
def index_full_names(names: SameNames, tag_name: str) -> NameIndex:
    """Names of several words, one of them the tag's."""
    index, own = NameIndex(), normalise(tag_name).casefold()
    for name in names.names:
        words = [piece.letters for piece in split_pieces(normalise(name))]
        if len(words) > 1 and own in words:
            index.add(name)
    return index


def normalise(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text).translate(AS_MARKS)


def split_pieces(text: str) -> list[Piece]:
    return list(iterate_pieces(text))


def iterate_pieces(text: str) -> Iterator[Piece]:
    end = 0
    for found in PIECE.finditer(text):
        word = found[0]
        yield Piece(
            word.casefold(), word[0].isupper(), UNSPACED_CHARACTER.match(word) is not None, text[end : found.start()]
        )
        end = found.end()


def find_splits(name: str) -> frozenset[int]:
    """Between words, before capitals within a word (``SpongeBob``), and between initials (``JK``)."""
    splits: set[int] = set()
    length = 0
    for piece in PIECE.finditer(name):
        word = piece[0]
        splits |= {
            length + n
            for n in range(1, len(word))
            if word[n].isupper() and (word[n - 1].islower() or len(word) <= 1 + LONGEST_INITIAL)
        }
        length += len(word.casefold())
        splits.add(length)
    return frozenset(splits)


def separate(before: Piece, after: Piece) -> str:
    """How much separates two pieces: ``none``, a ``space`` that the name must have too, or the ``end`` of a name."""
    between = after.before
    if not between or JOINING.fullmatch(between):
        return "none"
    if between in APOSTROPHES:
        return "none" if after.is_capital else "space"
    if not SPACE.fullmatch(between) or ("." in between and len(before.letters) > LONGEST_INITIAL):
        return "end"
    is_spaced_out = before.is_unspaced and after.is_unspaced
    is_capitalised = before.is_capital and after.is_capital and between == " "
    return "none" if is_spaced_out or is_capitalised else "space"
