"""What a run draws its questions from: the package's own banks or a person's file, less what is left out. Reads the
package's banks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from persqa_client.questions.bank import parse_bank
from persqa_client.questions.categories import CATEGORIES, LANGUAGES
from persqa_client.questions.sampling import Question

Fitting = Mapping[tuple[str, str], tuple[Question, ...]]


@cache
def load_bank(category: str, language: str) -> tuple[Question, ...]:
    """The package's own bank of a category and a language, sensitive items included."""
    name = f"{category}.{language}.jsonl"
    data = resources.files("persqa_client.questions.banks").joinpath(name).read_bytes()
    return tuple(replace(item, category=category, language=language) for item in parse_bank(data, name))


@dataclass(frozen=True)
class Bank:
    """Which questions there are for a row, by its category and language. Built by ``Bank.of``."""

    category: str | None
    """What a row's subject is where the row doesn't say; None for a person's own questions."""
    fitting: Fitting
    """For each category and language that has any questions: those that were not left out, so perhaps none."""

    @classmethod
    def of(
        cls, own: str | tuple[Question, ...], *, sensitive: bool = False, without: frozenset[str] = frozenset()
    ) -> Bank:
        """``own`` is a category, for the package's banks, or a person's own questions, which stand for all of them.

        Left out is what is sensitive, unless it is asked for, and what needs something of ``without``.
        """
        fitting = {
            pair: tuple(item for item in items if (sensitive or not item.sensitive) and not item.needs & without)
            for pair, items in (packaged() if isinstance(own, str) else sorted_out(own)).items()
        }
        return cls(own if isinstance(own, str) else None, fitting)

    def questions(self, category: str, language: str) -> tuple[Question, ...]:
        """None at all where a person's own questions are for other categories or languages."""
        return self.fitting.get((category, language), ())

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that it has any questions in."""
        return tuple(language for language in LANGUAGES if any(language == pair[1] for pair in self.fitting))

    @property
    def smallest(self) -> int:
        """How many different questions every row can be asked, whichever of the bank's combinations it names."""
        return min(map(len, self.fitting.values()), default=0)


def packaged() -> Fitting:
    return {(category, language): load_bank(category, language) for category in CATEGORIES for language in LANGUAGES}


def sorted_out(own: tuple[Question, ...]) -> Fitting:
    pairs = [(category, language) for category in CATEGORIES for language in LANGUAGES]
    found = {
        (category, language): tuple(
            item for item in own if item.category in (None, category) and item.language in (None, language)
        )
        for category, language in pairs
    }
    return {pair: items for pair, items in found.items() if items}
