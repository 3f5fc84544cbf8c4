"""Strings that match a regular expression, made from Python's own parse of it. Pure; draws from the generator given.

Repeated characters are taken from a text that is handed in, as far as it fits, so that the result reads like words.
Look-around, back references and the like are refused, because vLLM's grammars know none of them; \\b is not planned
for: a string is made without it and then tested against all.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator

# The parse tree of a pattern has no public door; sre_parse, the old one, is deprecated since 3.11.
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

ALPHABET = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?'\"()[]{}-_/<>@#%&*+=|~^$\\\n\t一是的人"
)
"""Characters that free places are filled from, the likeliest first."""

TRIES = 40
MORE = 12
"""How far an open repetition goes beyond its least where no text fills it."""

LONGEST = 20_000

SINGLE = (constants.IN, constants.ANY, constants.NOT_LITERAL)
"""Nodes that stand for one character."""

REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT)
KNOWN = (*SINGLE, *REPEATS, constants.LITERAL, constants.BRANCH, constants.SUBPATTERN, constants.AT)

CATEGORIES: dict[Any, Callable[[str], bool]] = {
    constants.CATEGORY_DIGIT: str.isdecimal,
    constants.CATEGORY_NOT_DIGIT: lambda c: not c.isdecimal(),
    constants.CATEGORY_SPACE: str.isspace,
    constants.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
    constants.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    constants.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
}


class Unmatchable(Exception):
    """No string for this pattern was found; the text says why."""


def compiled(pattern: str) -> re.Pattern[str]:
    """Raises Unmatchable for a pattern that Python can't read."""
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise Unmatchable(f"Invalid regular expression {pattern!r}: {error}") from None


def matching(pattern: str, natural: str, draw: random.Random) -> str:
    """``natural`` where the whole of it matches, else a string that does. Raises Unmatchable."""
    test = compiled(pattern)
    tree = parser.parse(pattern)
    refuse_unknown(tree)
    if test.fullmatch(natural):
        return natural
    for number in range(TRIES):
        # The text fills in at first; where that leads nowhere, chance goes on alone.
        text = "".join(Writer(natural if number < TRIES // 2 else "", draw).write(tree))
        if len(text) <= LONGEST and test.fullmatch(text):
            return text
    raise Unmatchable(f"The simulator found no string that matches {pattern!r}.")


def refuse_unknown(tree: Any) -> None:
    """Raises Unmatchable where a parse tree holds what vLLM's grammars do not know."""
    for op, value in tree:
        if op not in KNOWN:
            raise Unmatchable(f"Grammar error: invalid regex: {str(op).lower()} is not supported")
        if op is constants.SUBPATTERN:
            refuse_unknown(value[3])
        elif op in REPEATS:
            refuse_unknown(value[2])
        elif op is constants.BRANCH:
            for branch in value[1]:
                refuse_unknown(branch)


class Writer:
    """Writes one string along a parse tree."""

    def __init__(self, words: str, draw: random.Random) -> None:
        self.words = words
        self.draw = draw

    def write(self, tree: Any) -> Iterator[str]:
        """The pieces of a sequence of nodes."""
        for op, value in tree:
            yield self.node(op, value)

    def node(self, op: Any, value: Any) -> str:
        """One node's text."""
        if op is constants.LITERAL:
            return chr(value)
        if op in SINGLE:
            return self.draw.choice(likely(op, value))
        if op is constants.BRANCH:
            return "".join(self.write(self.draw.choice(value[1])))
        if op is constants.SUBPATTERN:
            return "".join(self.write(value[3]))
        if op in REPEATS:
            return self.repeat(*value)
        return ""  # AT: a place, not a character

    def repeat(self, least: int, most: int, inside: Any) -> str:
        """A repetition; of a single-character part, one filled from the words. Raises Unmatchable for a huge one."""
        if least > LONGEST:
            raise Unmatchable(f"The simulator writes no more than {LONGEST} characters.")
        if len(inside) == 1 and inside[0][0] in SINGLE:
            return self.fill(least, most, *inside[0])
        times = self.draw.randint(least, min(most, least + MORE // 4))
        return self.within("".join(self.write(inside)) for _ in range(times))

    def within(self, pieces: Iterable[str]) -> str:
        """The pieces joined, as long as they are not too long together."""
        text = ""
        for piece in pieces:
            text += piece
            if len(text) > LONGEST:
                raise Unmatchable(f"The simulator writes no more than {LONGEST} characters.")
        return text

    def fill(self, least: int, most: int, op: Any, value: Any) -> str:
        """Characters of the words that fit, as many as may be, completed by chance up to the least number."""
        fits = allowed(op, value)
        text = "".join(c for c in self.words if fits(c))[:most].strip()
        wanted = least if text else self.draw.randint(least, min(most, least + MORE))
        if len(text) >= wanted:
            return text
        return text + "".join(self.draw.choices(likely(op, value), k=wanted - len(text)))


def likely(op: Any, value: Any) -> list[str]:
    """Some characters that fit a single-character node. Raises Unmatchable where none is found."""
    fits = allowed(op, value)
    found = [c for c in ALPHABET if fits(c)] or [c for c in own_characters(op, value) if fits(c)]
    if not found:
        raise Unmatchable("The simulator found no character for a part of the pattern.")
    return found[:26]


def own_characters(op: Any, value: Any) -> Iterator[str]:
    """Characters that a set names itself."""
    for item_op, item in value if op is constants.IN else ():
        if item_op is constants.LITERAL:
            yield chr(item)
        elif item_op is constants.RANGE:
            yield from map(chr, range(item[0], min(item[1], item[0] + 25) + 1))


def allowed(op: Any, value: Any) -> Callable[[str], bool]:
    """Whether a character fits a single-character node."""
    if op is constants.ANY:
        return lambda c: c != "\n"
    if op is constants.NOT_LITERAL:
        return lambda c: ord(c) != value
    return lambda c: in_set(value, c)


def in_set(items: Any, c: str) -> bool:
    """Whether a character is in ``[…]``."""
    negated = bool(items) and items[0][0] is constants.NEGATE
    return any(fits_item(op, value, c) for op, value in items if op is not constants.NEGATE) != negated


def fits_item(op: Any, value: Any, c: str) -> bool:
    """Whether a character is what one item of a set stands for."""
    if op is constants.LITERAL:
        return bool(ord(c) == value)
    if op is constants.RANGE:
        return bool(value[0] <= ord(c) <= value[1])
    return CATEGORIES[value](c)
