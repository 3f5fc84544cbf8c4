"""Finds answers that are nearly alike: to the same question, or about the same pictures.

Only answers with a rare piece in common are compared, so that 100,000 answers take seconds: each answer is known by the
smallest hashes of its pairs of words (MinHash). Answers gather around the first one of their group, which each of them
is alike. Otherwise small differences would join all answers of a template.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple
from zlib import crc32

from rapidfuzz import fuzz

# Share of the characters that are alike, in per cent.
MIN_RATIO = 90.0
# Hashes by which an answer is found, and groups of its pictures that it is compared with.
HASHES, MAX_COMPARED = 4, 8
# A word, or a character of a script without spaces.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")
# Characters that are compared; answers of a model in a loop are long.
MAX_COMPARED_LENGTH = 2000


class ComparedAnswer(NamedTuple):
    """``run``: answers of different runs are not compared. ``pictures``: empty if they are not known."""

    run: int
    question: int
    pictures: tuple[int, ...]
    text: str


def group_answers(answers: Iterable[ComparedAnswer | None]) -> list[int]:
    """The number of each answer's group, in the order of their first answers from 1; 0 for an answer that is like no
    other, and for None.
    """
    finder = GroupFinder()
    leaders = [None if answer is None else finder.find(answer) for answer in answers]
    sizes = Counter(leaders)
    numbers: dict[int, int] = {}
    return [
        0 if leader is None or sizes[leader] == 1 else numbers.setdefault(leader, len(numbers) + 1)
        for leader in leaders
    ]


def list_group_sizes(groups: Sequence[int]) -> list[int]:
    """The sizes of group 1, 2 and so on."""
    sizes = Counter(groups)
    return [sizes[number] for number in range(1, max(groups, default=0) + 1)]


class GroupFinder:
    def __init__(self) -> None:
        # First answers of groups, as words.
        self._leaders: list[str] = []
        # Groups by a run, a question and a hash of the answer: the latest one that was found by it. The keys are hashes
        # of these three, which take a third of the memory; what two of them share by chance is compared as well.
        self._by_question: dict[int, int] = {}
        # The latest groups by a run and pictures.
        self._by_pictures: dict[int, list[int]] = {}

    def find(self, answer: ComparedAnswer) -> int:
        """The group that the answer is like, or a new one."""
        words = WORD.findall(answer.text[:MAX_COMPARED_LENGTH].casefold())
        text = " ".join(words)
        keys = [hash((answer.run, answer.question, each)) for each in hash_words(words)]
        pictures = hash((answer.run, answer.pictures))
        of_pictures = self._by_pictures.setdefault(pictures, []) if answer.pictures else []
        candidates = {group for key in keys if (group := self._by_question.get(key)) is not None}
        candidates.update(of_pictures)
        leaders = self._leaders
        # The earliest one, so that the order in a set does not matter.
        alike = (group for group in sorted(candidates) if fuzz.ratio(text, leaders[group], score_cutoff=MIN_RATIO))
        group = next(alike, None)
        if group is None:
            group = len(leaders)
            leaders.append(text)
        for key in keys:
            self._by_question[key] = group
        if answer.pictures and group not in of_pictures:
            of_pictures.append(group)
            del of_pictures[:-MAX_COMPARED]
        return group


def hash_words(words: Sequence[str]) -> list[int]:
    """The smallest hashes of the pairs of words, and that of the whole text."""
    hashes = sorted({crc32((one + other).encode()) for one, other in pairwise(words)})
    return [*hashes[:HASHES], crc32(" ".join(words).encode())]
