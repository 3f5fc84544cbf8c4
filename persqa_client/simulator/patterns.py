"""Strings that match a regular expression, close to a natural answer."""

# The package rstr is not used: it writes random characters instead of words, depends on the hash seed for [^…], and
# fails on {101,} and [^\x00-\x7f].

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator

# Python has no public parser of patterns; sre_parse is deprecated since 3.11.
from re import _compiler as compiler  # type: ignore[attr-defined]
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

# Characters for free places, likeliest first.
ALPHABET = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?'\"()[]{}-_/<>@#%&*+=|~^$\\\n\t一是的人"
)

# They end a sentence.
MARKS = frozenset(".!?…。！？")

TRIES = 40
MAX_LENGTH = 20_000
# Extra characters of an open repetition, without a natural answer.
EXTRA = 12

# Parse tree nodes for one character, and for repetitions.
SINGLES = (constants.IN, constants.ANY, constants.NOT_LITERAL)
REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT)
SUPPORTED = (*SINGLES, *REPEATS, constants.LITERAL, constants.BRANCH, constants.SUBPATTERN, constants.AT)

CATEGORIES: dict[Any, Callable[[str], bool]] = {
    constants.CATEGORY_DIGIT: str.isdecimal,
    constants.CATEGORY_NOT_DIGIT: lambda c: not c.isdecimal(),
    constants.CATEGORY_SPACE: str.isspace,
    constants.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
    constants.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    constants.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
}


class UnmatchablePattern(Exception):
    """No string was found for a pattern."""


def make_match(pattern: str, natural: str, rng: random.Random) -> str:
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UnmatchablePattern(f"Invalid regular expression {pattern!r}: {error}") from None
    tree = parser.parse(pattern)
    check_supported(tree)
    if compiled.fullmatch(natural):
        return natural
    for number in range(TRIES):
        # Assertions such as \b are ignored; if words fail, random characters may match.
        text = "".join(PatternWriter(natural if number < TRIES // 2 else "", rng).write(tree))
        if len(text) <= MAX_LENGTH and compiled.fullmatch(text):
            return text
    raise UnmatchablePattern(f"The simulator found no string that matches {pattern!r}.")


def check_supported(tree: Any) -> None:
    """Raises UnmatchablePattern for syntax that vLLM's grammars don't support."""
    for op, value in tree:
        if op not in SUPPORTED:
            raise UnmatchablePattern(f"Grammar error: invalid regex: {str(op).lower()} is not supported")
        if op is constants.SUBPATTERN:
            check_supported(value[3])
        elif op in REPEATS:
            check_supported(value[2])
        elif op is constants.BRANCH:
            for branch in value[1]:
                check_supported(branch)


class PatternWriter:
    """Follows the natural answer where the pattern allows it, and writes other characters only where it must.

    ``rest``: what is left of the natural answer; without one, free places get random characters.
    """

    def __init__(self, natural: str, rng: random.Random) -> None:
        self.is_free = not natural
        self.rest = natural
        self.rng = rng

    def write(self, tree: Any) -> Iterator[str]:
        for op, value in tree:
            yield self._write_node(op, value)

    def _write_node(self, op: Any, value: Any) -> str:
        if op is constants.LITERAL:
            return self._take(lambda c: ord(c) == value) or chr(value)
        if op in SINGLES:
            return self._take(make_character_test(op, value)) or self.rng.choice(find_candidates(op, value))
        if op is constants.BRANCH:
            return self._write_branch(value[1])
        if op is constants.SUBPATTERN:
            return "".join(self.write(value[3]))
        if op in REPEATS:
            return self._write_repeat(*value)
        return ""  # AT: an anchor

    def _take(self, fits: Callable[[str], bool]) -> str:
        """The next character of the natural answer, if it fits."""
        taken = self.rest[:1] if self.rest and fits(self.rest[0]) else ""
        self.rest = self.rest[len(taken) :]
        return taken

    def _write_branch(self, branches: list[Any]) -> str:
        going_on = [branch for branch in branches if match_length(branch, self.rest)]
        if going_on:
            return "".join(self.write(max(going_on, key=lambda branch: match_length(branch, self.rest))))
        branch = self.rng.choice(branches)
        if branch.getwidth()[1] >= MAX_LENGTH:
            return "".join(self.write(branch))
        # Words that the pattern demands do not replace words that begin alike.
        kept, self.rest = self.rest, ""
        text = "".join(self.write(branch))
        self.rest = kept
        return text

    def _write_repeat(self, least: int, most: int, inside: Any) -> str:
        if least > MAX_LENGTH:
            raise UnmatchablePattern(f"The simulator writes no more than {MAX_LENGTH} characters.")
        if len(inside) == 1 and inside[0][0] in SINGLES and most > 1:
            return self._fill(least, most, *inside[0])
        if self.is_free:
            times = self.rng.randint(least, min(most, least + EXTRA // 4))
            return self._join("".join(self.write(inside)) for _ in range(times))
        return self._join(self._repeat(least, most, inside))

    def _repeat(self, least: int, most: int, inside: Any) -> Iterator[str]:
        """Repeats the group as often as the natural answer continues with it."""
        times = 0
        while times < least or (times < most and match_length(inside, self.rest)):
            yield "".join(self.write(inside))
            times += 1

    def _join(self, pieces: Iterable[str]) -> str:
        text = ""
        for piece in pieces:
            text += piece
            if len(text) > MAX_LENGTH:
                raise UnmatchablePattern(f"The simulator writes no more than {MAX_LENGTH} characters.")
        return text

    def _fill(self, least: int, most: int, op: Any, value: Any) -> str:
        """Takes the next word that fits, or if spaces fit too, all fitting characters that are left. The last mark
        stays: it may be needed for the end.
        """
        fits = make_character_test(op, value)
        end = len(self.rest) - (self.rest[-1:] in MARKS)
        start = next((at for at in range(end) if fits(self.rest[at])), end)
        if not fits(" "):
            end = next((at for at in range(start, end) if not fits(self.rest[at])), end)
        text = "".join(c for c in self.rest[start:end] if fits(c))[:most].rstrip()
        if text:
            self.rest = self.rest[end:]
        wanted = self.rng.randint(least, min(most, least + EXTRA)) if self.is_free else least
        if len(text) >= wanted:
            return text
        return text + "".join(self.rng.choices(find_candidates(op, value), k=wanted - len(text)))


def match_length(tree: Any, text: str) -> int:
    """How many characters of the text a part of a pattern matches at its beginning; 0 if it does not match."""
    found = compiler.compile(tree).match(text) if text else None
    return found.end() if found else 0


def find_candidates(op: Any, value: Any) -> list[str]:
    fits = make_character_test(op, value)
    found = [c for c in ALPHABET if fits(c)] or [c for c in list_set_characters(op, value) if fits(c)]
    if not found:
        raise UnmatchablePattern("The simulator found no character for a part of the pattern.")
    return found[:26]


def list_set_characters(op: Any, value: Any) -> Iterator[str]:
    for item_op, item in value if op is constants.IN else ():
        if item_op is constants.LITERAL:
            yield chr(item)
        elif item_op is constants.RANGE:
            yield from map(chr, range(item[0], min(item[1], item[0] + 25) + 1))


def make_character_test(op: Any, value: Any) -> Callable[[str], bool]:
    if op is constants.ANY:
        return lambda c: c != "\n"
    if op is constants.NOT_LITERAL:
        return lambda c: ord(c) != value
    negated = bool(value) and value[0][0] is constants.NEGATE
    items = [item for item in value if item[0] is not constants.NEGATE]
    return lambda c: any(matches_set_item(item_op, item, c) for item_op, item in items) != negated


def matches_set_item(op: Any, value: Any, c: str) -> bool:
    if op is constants.LITERAL:
        return bool(ord(c) == value)
    if op is constants.RANGE:
        return bool(value[0] <= ord(c) <= value[1])
    return CATEGORIES[value](c)
