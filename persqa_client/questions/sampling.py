"""Which question a picture gets: a choice that depends on the row itself and the questions' ids, and on nothing else.
Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from persqa_client.errors import RowError
from persqa_client.types import Row

PRIME = 2**61 - 1


@dataclass(frozen=True, slots=True)
class Question:
    """An item of a bank; ``{tag}`` stands in its text where the tag goes."""

    id: str
    text: str
    category: str | None = None
    """None fits every category."""
    language: str | None = None
    """None fits every language."""
    needs: frozenset[str] = frozenset()
    """What it presupposes in the picture: words of ``categories.NEEDS``."""
    sensitive: bool = False
    """Asks about skin, age, body or the like."""
    factor: int = field(init=False, repr=False, compare=False)
    """A digest of the id. Its product with a row's digest, modulo a prime, ranks the question for the row: that spreads
    as evenly as a digest of both and costs less."""

    def __post_init__(self) -> None:
        name = self.id.encode("utf-8", "surrogatepass")
        object.__setattr__(self, "factor", int.from_bytes(blake2b(name, digest_size=8).digest(), "big") % PRIME)


def digest_of(row: Row, seed: int, purpose: str, *more: int) -> bytes:
    """8 bytes that are a function of seed, the row's id and its pictures as written.

    Nothing else of the row, its place or the time goes in: adding a column, sorting, splitting or resuming changes no
    draw. ``purpose`` keeps the choice of the question and the seed for the model independent of one another.
    """
    key = json.dumps([purpose, seed, row.id, row.images, *more], ensure_ascii=True).encode()
    return blake2b(key, digest_size=8).digest()


def choose(row: Row, number: int, *, seed: int, questions: Sequence[Question]) -> Question:
    """The row's question of that number, from 0; each number gives a different one.

    Every item is ranked for the row by a number of its own (rendezvous hashing), so the first questions are the same
    however many are asked, and of n items a new one changes a row's question number k with a chance of (k + 1) in
    (n + 1) only. Raises RowError (``no_question``) where there are no more than ``number``.
    """
    if not 0 <= number < len(questions):
        many = f"only {len(questions)} questions fit" if questions else "no question fits"
        raise RowError(
            "no_question", f"{many} the row's category and language; ask fewer, or give a --bank that has more."
        )
    key = int.from_bytes(digest_of(row, seed, "question"), "big")
    ranks = [key * item.factor % PRIME for item in questions]
    if number == 0:
        return questions[ranks.index(min(ranks))]
    return questions[sorted(range(len(ranks)), key=ranks.__getitem__)[number]]


def request_seed(row: Row, number: int, ask: int, seed: int) -> int:
    """The seed that the model is sent: 31 bits, which every server takes. ``ask`` counts the asks, from 0."""
    drawn = int.from_bytes(digest_of(row, seed, "sampling", number), "big") >> 1
    return (drawn + ask) % 2**31
