"""Which question a picture is asked, and the seed that is sent to the model.

Both depend only on the run's seed, the row's id and its pictures as written, so other columns, the row's place and a
resume change neither.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b

from persqa_client.errors import RowError
from persqa_client.questions.bank import RANK_MODULUS, Question
from persqa_client.types import Row


def choose_question(row: Row, number: int, *, seed: int, questions: Sequence[Question]) -> Question:
    """The row's question of that number, from 0; each number gives a different one.

    Questions are ranked for each row by rendezvous hashing: a question added to n others changes the row's question k
    with a chance of (k + 1) in (n + 1). Raises RowError (``no_question``) if there are too few.
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
    """31 bits, which every server accepts."""
    return (int.from_bytes(row_digest(row, seed, "sampling", number), "big") >> 1) % 2**31


def row_digest(row: Row, seed: int, purpose: str, *more: int) -> bytes:
    """8 bytes. ``purpose`` makes the choice of the question and the request's seed independent of one another."""
    key = json.dumps([purpose, seed, row.id, row.images, *more], ensure_ascii=True).encode()
    return blake2b(key, digest_size=8).digest()
