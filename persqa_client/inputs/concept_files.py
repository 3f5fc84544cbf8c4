"""Files of personalised data sets that are one JSON object: questions by picture, and stores of characters.

The rules of their loaders:

- Yo'LLaVA (WisconsinAIVision/YoLLaVA 6a640ee, ``dataset.py``) and MC-LLaVA (arctanxarc/MC-LLaVA 8a1e03d,
  ``llava/dataset.py``) read a file for each character and kind of question: by the path of a picture, a list of pairs
  ``Human`` and ``AI``. MC-LLaVA's test sets may have one pair in place of the list, and its published
  ``conversation.json`` has ``Question`` and ``Answer``. Paths start at the working directory.
- ``yollava-visual-qa.json`` of Yo'LLaVA has for each character, by the path of a picture, one ``question`` with
  ``<sks>`` in place of the tag, ``options`` and ``correct_answer``. RAP-MLLM's copy is the same.
- The store of characters of RAP-MLLM (Hoar012/RAP-MLLM 2a96d72, ``retriever.py``), which RePIC reads, too: in
  ``concept_dict``, by tag, the character's ``image``, ``info`` and ``category``.

Such a file is read as a whole. That of a character has a few hundred questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from persqa_client.errors import SettingsError
from persqa_client.images.references import describe_reference
from persqa_client.inputs.files import Record, RecordFileSource
from persqa_client.inputs.made_rows import DESCRIPTION, OLD_ANSWER, fill_placeholder, find_tag_name
from persqa_client.inputs.sources import BrokenLine
from persqa_client.jsonl import dump_spaced, load_value, strip_marks
from persqa_client.questions.tasks import find_first_tag
from persqa_client.types import Json

# The data that MC-LLaVA's authors publish has the other pair, too.
PAIR_KEYS = (("Human", "AI"), ("Question", "Answer"))
STORE = "concept_dict"


@dataclass(frozen=True, slots=True)
class FileLayout:
    """``reads`` says whether the object is of this layout. ``make_rows`` yields an image and its row without the image,
    or what can't be made a row, which fails.
    """

    name: str
    reads: Callable[[Json], bool]
    make_rows: Callable[[Json], Iterator[tuple[str, Json] | BrokenLine]]


def has_pairs(fields: Json) -> bool:
    return bool(fields) and all(any(map(read_question_pair, as_pairs(value))) for value in fields.values())


def as_pairs(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def read_question_pair(value: object) -> tuple[str, Any] | None:
    """The question, and the answer if there is one."""
    fields = value if isinstance(value, dict) else {}
    return next(
        ((fields[asked], fields.get(answered)) for asked, answered in PAIR_KEYS if isinstance(fields.get(asked), str)),
        None,
    )


def make_pair_rows(fields: Json) -> Iterator[tuple[str, Json] | BrokenLine]:
    for image, value in fields.items():
        for number, pair in enumerate(as_pairs(value), 1):
            found = read_question_pair(pair)
            if found is None:
                names = " or ".join(repr(asked) for asked, _ in PAIR_KEYS)
                reason = f"pair {number} of {describe_reference(image)} has no text under {names}"
                yield BrokenLine.make(dump_spaced({image: pair}), reason)
                continue
            asked, answer = found
            question = fill_placeholder(asked.strip())
            row: Json = {"question": question or None, "tag": find_first_tag(question), OLD_ANSWER: answer}
            yield image, {key: member for key, member in row.items() if member is not None}


def has_questions_of_characters(fields: Json) -> bool:
    return bool(fields) and all(
        isinstance(value, dict) and value and all(map(is_visual_question, value.values())) for value in fields.values()
    )


def is_visual_question(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("question"), str) and "options" in value


def make_visual_rows(fields: Json) -> Iterator[tuple[str, Json] | BrokenLine]:
    for name, questions in fields.items():
        for image, value in questions.items():
            yield image, {**value, "question": fill_placeholder(value["question"]), "tag": name}


def is_store(fields: Json) -> bool:
    characters = fields.get(STORE)
    return isinstance(characters, dict) and any(
        isinstance(each, dict) and isinstance(each.get("image"), str) for each in characters.values()
    )


def make_store_rows(fields: Json) -> Iterator[tuple[str, Json] | BrokenLine]:
    """Makes rows without questions, which are drawn from the bank. The category is not one of a bank."""
    for tag, each in fields[STORE].items():
        if not isinstance(each, dict) or not isinstance(each.get("image"), str):
            yield BrokenLine.make(dump_spaced({tag: each}), f"the character {tag!r} has no text under 'image'")
        else:
            row: Json = {"tag": find_tag_name(tag) or tag, DESCRIPTION: each.get("info"), "class": each.get("category")}
            yield each["image"], {key: value for key, value in row.items() if value is not None}


FILE_LAYOUTS: dict[str, FileLayout] = {
    layout.name: layout
    for layout in (
        FileLayout("pairs", has_pairs, make_pair_rows),
        FileLayout("visual-qa", has_questions_of_characters, make_visual_rows),
        FileLayout("characters", is_store, make_store_rows),
    )
}


class ConceptFileSource(RecordFileSource):
    """Rows from a file that is one object. The offset of a position is the number of rows before it."""

    kind = "values"

    def __init__(self, path: Path, layout: FileLayout, image_key: str) -> None:
        super().__init__(path)
        self.layout = layout
        self._image_key = image_key

    def fingerprint(self) -> dict[str, Any]:
        return {**super().fingerprint(), "layout": self.layout.name}

    def progress_total(self) -> int:
        return sum(1 for _ in self._make_rows(self.path.read_bytes()))

    def records(self, file: BinaryIO, offset: int) -> Iterator[Record]:
        file.seek(0)
        for number, made in enumerate(self._make_rows(file.read()), 1):
            if number > offset:
                line = made if isinstance(made, BrokenLine) else dump_spaced({self._image_key: [made[0]], **made[1]})
                yield Record(line, number, True)

    def _make_rows(self, data: bytes) -> Iterator[tuple[str, Json] | BrokenLine]:
        try:
            fields = load_value(strip_marks(data))
        except ValueError as error:
            raise SettingsError(f"The input {self.name} can't be read: {error}; restore it.") from error
        return self.layout.make_rows(fields) if isinstance(fields, dict) and self.layout.reads(fields) else iter(())

    def _seek(self, file: BinaryIO, offset: int) -> int:
        return offset


def find_file_layout(fields: Json) -> FileLayout | None:
    return next((layout for layout in FILE_LAYOUTS.values() if layout.reads(fields)), None)
