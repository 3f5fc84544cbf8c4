"""A bank of questions as a file: JSON lines, or plain text with one question a line. Reads files.

Every mistake is a SettingsError of one sentence that names the file and the line and says what to do.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from typing import Any

from persqa_client.errors import SettingsError
from persqa_client.images.references import describe_reference
from persqa_client.jsonl import load_value
from persqa_client.language import is_chinese
from persqa_client.questions.categories import CATEGORIES, LANGUAGES, parse_category, parse_language, parse_need
from persqa_client.questions.sampling import Question

MAX_BYTES = 20_000_000
"""Far above any bank; a video or a device that is given by mistake is not read to its end."""
KEYS = ("id", "text", "category", "language", "needs", "sensitive")
JSON_NAMES = frozenset({".jsonl", ".ndjson", ".json"})
JSON_START = re.compile(r'\{\s*(?:"|\}|$)')
"""A question may itself begin with a brace: ``{tag}在做什么？``"""
LINE_END = re.compile(r"\r\n|\r|\n")
WRITTEN_TAG = re.compile(r"[<＜]/?[^\W_][\w.\-]{0,39}[>＞]")
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, lone surrogates, line and paragraph separators."""
BRACES = re.compile(r"\{[^{}]{0,40}\}|[{}]")


def read_bank_file(path: Path) -> tuple[Question, ...]:
    """The questions of a person's own file, in its order."""
    name = describe_reference(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise SettingsError(f"There is no question bank {name}; give a category or the path of a file.") from error
    except IsADirectoryError as error:
        raise SettingsError(f"The question bank {name} is a folder; give a file.") from error
    except (OSError, ValueError) as error:
        # ValueError is what a name with a NUL gets.
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise SettingsError(f"The question bank {name} can't be read ({reason}); give a file that can.") from error
    if len(data) > MAX_BYTES:
        raise SettingsError(f"The question bank {name} is over {MAX_BYTES // 10**6} MB; give a file of questions.")
    return parse_bank(data, name)


def parse_bank(data: bytes, name: str) -> tuple[Question, ...]:
    """The questions that the bytes of a file hold; the name is for messages, and its ending tells JSON lines."""
    lines = list(numbered(decode(data, name)))
    as_json = is_json(name, lines)
    parse: Callable[[str], Question] = parse_object if as_json else plain_question
    seen, questions = Seen(), []
    for number, line in lines:
        if line.startswith("#") and not as_json:
            continue
        try:
            question = parse(line)
            seen.add(question, number)
        except ValueError as error:
            raise SettingsError(f"{name}, line {number}: {error}.") from error
        questions.append(question)
    if not questions:
        raise SettingsError(f"The question bank {name} holds no question; write one on each line, with {{tag}} in it.")
    return tuple(questions)


def is_json(name: str, lines: Sequence[tuple[int, str]]) -> bool:
    """By the name's ending, else by the first line that is no comment."""
    first = next((line for _, line in lines if not line.startswith("#")), "")
    return Path(name).suffix.lower() in JSON_NAMES or JSON_START.match(first) is not None


def decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{name}, line {number}: this is not UTF-8; save the file as UTF-8 text.") from error


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    for number, line in enumerate(LINE_END.split(text), 1):
        if line.strip():
            yield number, line.strip()


def parse_object(line: str) -> Question:
    """An item from its JSON. Raises ValueError with what is wrong and what to do, without an end to the sentence."""
    try:
        fields = load_value(line.encode())
    except ValueError as error:
        raise ValueError(
            f"this is {str(error).replace('not JSON:', 'not JSON,')}; write one object on a line"
        ) from error
    if not isinstance(fields, dict):
        raise ValueError('this is no JSON object; write {"text": "…"}')
    for key in fields:
        if key not in KEYS:
            raise ValueError(f"the key {key!r} is unknown; use {', '.join(KEYS[:-1])} or {KEYS[-1]}")
    return item_of(fields)


def plain_question(line: str) -> Question:
    return item_of({"text": line})


def item_of(fields: dict[str, Any]) -> Question:
    text = checked_text(fields.get("text"))
    category, language = word(fields, "category"), word(fields, "language")
    return Question(
        id=word(fields, "id") or derived_id(text),
        text=text,
        category=None if category is None else parse_category(category),
        language=parse_language(language) if language else "zh" if is_chinese(text) else "en",
        needs=frozenset(map(parse_need, list_of_words(fields.get("needs")))),
        sensitive=flag(fields, "sensitive"),
    )


def checked_text(value: object) -> str:
    """The text of a question. Raises ValueError where it can't be one."""
    if value is None or value == "":
        raise ValueError('there is no question; write it as "text"')
    if not isinstance(value, str):
        raise ValueError("the text must be a string; put it in quotes")
    text = printable(value.strip(), "the question")
    if written := WRITTEN_TAG.search(text):
        raise ValueError(f"{written[0]} is written out; write {{tag}} instead, which becomes the tag of each row")
    for brace in BRACES.findall(text):
        if brace != "{tag}":
            raise ValueError(f"{brace} is no placeholder that is known; use {{tag}}, and no other braces")
    if "{tag}" not in text:
        raise ValueError("the question names nobody; write {tag} where the tag belongs")
    if not normalised(text.replace("{tag}", "")):
        raise ValueError("the question is nothing but {tag}; write what is asked about it")
    return text


def word(fields: dict[str, Any], key: str) -> str | None:
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} must be a string that is not empty; write it in quotes, or leave the key out")
    return printable(value.strip(), key)


def printable(text: str, noun: str) -> str:
    if any(unicodedata.category(letter) in UNPRINTABLE for letter in text):
        raise ValueError(f"{noun} has a control character or a line break in it; take that out")
    return text


def flag(fields: dict[str, Any], key: str) -> bool:
    value = fields.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false; write it without quotes")
    return value


def list_of_words(value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError('needs must be a list of strings; write for example ["face"]')
    return value


def derived_id(text: str) -> str:
    """An id that stays the same as long as the words do."""
    return blake2b(normalised(text).encode(), digest_size=6).hexdigest()


def normalised(text: str) -> str:
    """Its letters, marks and digits: what is left is the same for texts that differ in case, spacing or punctuation."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] in "LMN")


@dataclass(slots=True)
class Seen:
    """Finds items that one row could get both of, and that have the same id or the same words."""

    lines: dict[tuple[str, str, str | None], dict[str | None, int]] = field(default_factory=dict)

    def add(self, question: Question, number: int) -> None:
        for noun, value in (("question", normalised(question.text)), ("id", question.id)):
            categories = self.lines.setdefault((noun, value, question.language), {})
            for category, earlier in categories.items():
                if category is None or question.category in (None, category):
                    advice = "give each its own" if noun == "id" else "leave one out"
                    raise ValueError(f"the {noun} is the same as that of line {earlier}; {advice}")
            categories[question.category] = number


# What a run draws its questions from: the package's own banks or a person's file, less what is left out. Reads the
# package's banks.

Fitting = Mapping[tuple[str, str], tuple[Question, ...]]


@cache
def load_bank(category: str, language: str) -> tuple[Question, ...]:
    """The package's own bank of a category and a language, sensitive items included."""
    name = f"{category}.{language}.jsonl"
    data = resources.files("persqa_client.questions").joinpath("banks", name).read_bytes()
    return tuple(replace(item, category=category, language=language) for item in parse_bank(data, name))


@dataclass(frozen=True)
class Bank:
    """Which questions there are for a row, by its category and language. Built by ``Bank.build``."""

    category: str | None
    """What a row's subject is where the row doesn't say; None for a person's own questions."""
    fitting: Fitting
    """For each category and language that has any questions: those that were not left out, so perhaps none."""

    @classmethod
    def build(
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
    def digest(self) -> str:
        """16 hexadecimal digits that change with any question that a row can be asked."""
        questions = sorted((*pair, item.id, item.text) for pair, items in self.fitting.items() for item in items)
        return blake2b(json.dumps(questions).encode(), digest_size=8).hexdigest()

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
