"""Which question a picture is asked, and the seed that is sent to the model.

Both depend on the run's seed, the row's id and its pictures as written, and on nothing else: adding a column, sorting,
splitting or resuming changes neither.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b

from persqa_client.errors import RowError
from persqa_client.questions.bank import RANK_MODULUS, Question
from persqa_client.types import Row


def choose_question(row: Row, number: int, *, seed: int, questions: Sequence[Question]) -> Question:
    """The row's question of that number, from 0. Each number gives a different one.

    Every question is ranked for the row by a number of its own (rendezvous hashing). So the first questions stay the
    same however many are asked, and a new one among n changes question k of a row with a chance of (k + 1) in (n + 1).
    Raises RowError (``no_question``) where there are not more than ``number`` questions.
    """
    if not 0 <= number < len(questions):
        fitting = f"only {len(questions)} questions match" if questions else "no question matches"
        raise RowError(
            "no_question",
            f"{fitting} the row's category and language; ask fewer questions, or give a --bank that has more.",
        )
    key = int.from_bytes(row_digest(row, seed, "question"), "big")
    ranks = [key * question.factor % RANK_MODULUS for question in questions]
    if number == 0:
        return questions[ranks.index(min(ranks))]
    return questions[sorted(range(len(ranks)), key=ranks.__getitem__)[number]]


def request_seed(row: Row, number: int, seed: int) -> int:
    """The seed to send for the row's question of that number: 31 bits, which every server accepts."""
    return (int.from_bytes(row_digest(row, seed, "sampling", number), "big") >> 1) % 2**31


def row_digest(row: Row, seed: int, purpose: str, *more: int) -> bytes:
    """8 bytes. ``purpose`` makes the choice of the question and the request's seed independent of one another."""
    key = json.dumps([purpose, seed, row.id, row.images, *more], ensure_ascii=True).encode()
    return blake2b(key, digest_size=8).digest()
