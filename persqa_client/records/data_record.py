"""The record of a data set: the question, its pictures and characters, the answer, and its source.

Each layout of ``formats/`` is written from it and read into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Checks:
    """Results of the run's checks of the answer; the fields are those of ``outcomes.Record``.

    ``problem``: why the run rejected it, a code; None for an answer in the output.
    """

    made_good_by: tuple[str, ...] = ()
    refused: str | None = None
    doubts: tuple[str, ...] = ()
    verdict: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """``row`` is the number of the input line, or None if no file says it; ``line`` that of the output line."""

    run: str = ""
    row: int | None = None
    question_number: int = 0
    line: int = 0
    model: str | None = None
    # Digest of the run's settings.
    settings: str = ""
    seed: int | None = None
    question_id: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    # The model's text before cleaning and repair; None if no file has it.
    raw: str | None = None


class SourceLine(NamedTuple):
    """The output line without its line break, and the names of its members."""

    line: bytes
    image_key: str
    output_key: str
    # The answer in the line, which a decision may have replaced in the record.
    answer: str
    # Field of the row's reference picture.
    reference_key: str | None = None


@dataclass(frozen=True, slots=True)
class DataRecord:
    """``images`` are references, as in a row of the input; ``tags`` name the characters, with brackets.

    ``reference``: the row's own picture that shows the character, which layouts for trainers leave out.
    """

    id: str
    images: tuple[str, ...]
    question: str
    answer: str
    kind: str = "attribute"
    tags: tuple[str, ...] = ()
    category: str | None = None
    checks: Checks = Checks()
    provenance: Provenance = Provenance()
    # None if the record is not from the output of a run.
    source: SourceLine | None = None
    reference: str | None = None
    # The row's own words about the character.
    description: str | None = None

    @property
    def tag_name(self) -> str:
        """The tag of the main character, without brackets."""
        return self.tags[0][1:-1]

    @property
    def pictures(self) -> tuple[str, ...]:
        """The images and the reference."""
        return self.images if self.reference is None else (*self.images, self.reference)

    def with_pictures(self, pictures: Sequence[str]) -> DataRecord:
        """A copy with other images, and another reference if there is one more picture."""
        count = len(self.images)
        return replace(self, images=tuple(pictures[:count]), reference=next(iter(pictures[count:]), self.reference))

    def about(self, tag: str, reference: str | None = None, description: str | None = None) -> DataRecord:
        """A copy with another main character."""
        return replace(self, tags=(tag,), reference=reference, description=description)
