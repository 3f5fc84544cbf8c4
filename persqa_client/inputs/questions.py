"""Which question a picture gets: banks of questions, and a choice that depends on nothing but the row itself. Reads
the package's own banks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b
from importlib import resources

from persqa_client.types import Row


@cache
def load_bank(name: str) -> tuple[str, ...]:
    """The questions of a bank of the package, for example ``human.en``; ``{tag}`` stands where the tag goes."""
    text = resources.files("persqa_client.inputs.banks").joinpath(f"{name}.jsonl").read_text(encoding="utf-8")
    return tuple(json.loads(line)["text"] for line in text.splitlines() if line.strip())


def draw(row: Row, number: int, seed: int, purpose: str) -> int:
    """A 63-bit number that is a function of seed, the row's id, its pictures as written and the question's number.

    Nothing else of the row, its place or the time goes in: adding a column, sorting, splitting or resuming changes no
    draw. ``purpose`` keeps the choice of the question and the seed for the model independent of one another.
    """
    key = json.dumps([purpose, seed, row.id, row.images, number], ensure_ascii=True).encode()
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big") >> 1


def choose_question(row: Row, number: int, *, tag: str, seed: int, bank: Sequence[str]) -> str:
    """The row's own question where it has one, else one of the bank's, with the tag in its place."""
    text = row.question or bank[draw(row, number, seed, "question") % len(bank)]
    return text.replace("{tag}", tag)


def request_seed(row: Row, number: int, ask: int, seed: int) -> int:
    """The seed that the model is sent: 31 bits, which every server takes. ``ask`` counts the asks, from 0."""
    return (draw(row, number, seed, "sampling") + ask) % 2**31
