"""Assigns groups of rows to the parts of a split by a seeded hash, so that no group is on two sides.

A group keeps its part when rows are added after it, and whatever the number and order of the other groups.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, NamedTuple

from persqa_client.errors import SettingsError

GroupBy = Literal["picture", "row", "folder", "tag"]
PART_NAME = re.compile(r"[A-Za-z0-9][\w-]*")
# Difference between two shares that is worth a word.
FAR = 0.1
EXAMPLE = "for example train=0.9,val=0.1"


class Part(NamedTuple):
    name: str
    share: float


@dataclass(frozen=True, slots=True)
class Split:
    parts: tuple[Part, ...]
    by: GroupBy = "picture"
    seed: int = 0

    def choose_part(self, group: str) -> str:
        """By the hash of the group's name."""
        digest = sha256(f"{self.seed}\0{group}".encode("utf-8", "surrogatepass")).digest()
        place = int.from_bytes(digest[:8]) / 2**64
        for name, share in self.parts:
            place -= share
            if place < 0:
                return name
        return self.parts[-1].name


def find_far_shares(parts: Sequence[Part], rows: Mapping[str, int]) -> list[tuple[Part, float]]:
    """The parts whose share of the rows is far from the wanted one, with that share. ``rows``: by name of the part."""
    total = sum(rows.values())
    shares = [(part, rows.get(part.name, 0) / total) for part in parts] if total else []
    return [(part, share) for part, share in shares if abs(share - part.share) > FAR]


def parse_parts(text: str) -> tuple[Part, ...]:
    """Raises SettingsError."""
    parts = []
    for word in text.split(","):
        name, equals, share = (each.strip() for each in word.partition("="))
        if not equals or not PART_NAME.fullmatch(name):
            raise SettingsError(f"--split: {word.strip()!r} is not NAME=SHARE; {EXAMPLE}")
        parts.append(Part(name, parse_share(share)))
    names = [part.name.casefold() for part in parts]
    if len(set(names)) < len(names):
        raise SettingsError(f"--split: a name is given twice; {EXAMPLE}")
    total = sum(part.share for part in parts)
    if abs(total - 1) > 1e-6:
        raise SettingsError(f"--split: the shares add up to {total:g}, not to 1; {EXAMPLE}")
    return tuple(parts)


def parse_share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise SettingsError(f"--split: the share {text!r} is not a number above 0 and up to 1; {EXAMPLE}")
    return share


class Groups:
    """Sets of keys that must stay together (union-find). A group has the name of its first key."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._keys: list[str] = []
        self._parents: list[int] = []

    def join(self, keys: Sequence[str]) -> None:
        roots = [self._find_root(self._number(key)) for key in keys]
        for root in roots:
            self._parents[root] = min(roots)

    def find_name(self, key: str) -> str:
        """A key that was never joined is a group of its own."""
        number = self._numbers.get(key)
        return key if number is None else self._keys[self._find_root(number)]

    def _number(self, key: str) -> int:
        number = self._numbers.setdefault(key, len(self._keys))
        if number == len(self._keys):
            self._keys.append(key)
            self._parents.append(number)
        return number

    def _find_root(self, number: int) -> int:
        while (parent := self._parents[number]) != number:
            self._parents[number] = self._parents[parent]
            number = parent
        return number
