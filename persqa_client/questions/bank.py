"""Question banks: the built-in ones and the user's file."""

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
from persqa_client.language import LANGUAGES, prompt_language
from persqa_client.questions.categories import CATEGORIES, parse_category, parse_language, parse_need
from persqa_client.suggestions import find_similar_name, suggest_path

PAIRS = [(category, language) for category in CATEGORIES for language in LANGUAGES]
# A prime, modulus of the ranks of questions (tasks.py).
RANK_MODULUS = 2**61 - 1

# Larger than any bank, to reject videos and devices given by mistake.
MAX_FILE_BYTES = 20_000_000
QUESTION_KEYS = ("id", "text", "category", "language", "needs", "sensitive")
JSON_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})
# A plain-text question may also begin with a brace: ``{tag}在做什么？``
JSON_START = re.compile(r'\{\s*(?:"|\}|$)')
LINE_END = re.compile(r"\r\n|\r|\n")
WRITTEN_TAG = re.compile(r"[<＜]/?[^\W_][\w.\-]{0,39}[>＞]")
# Unicode categories of control characters, lone surrogates, line and paragraph separators.
UNPRINTABLE_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
BRACES = re.compile(r"\{[^{}]{0,40}\}|[{}]")


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    text: str
    category: str | None = None  # None for all categories.
    language: str | None = None  # None for all languages.
    needs: frozenset[str] = frozenset()  # Keys of ``categories.NEEDS``.
    sensitive: bool = False  # About skin, age, body or the like.
    # Digest of the id. Its product with a row's digest, modulo RANK_MODULUS, is the question's rank for that row: as
    # evenly distributed as a common digest, and cheaper.
    factor: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        digest = blake2b(self.id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        object.__setattr__(self, "factor", int.from_bytes(digest, "big") % RANK_MODULUS)


@dataclass(frozen=True)
class Bank:
    """The questions of a run, by category and language. Made by ``Bank.build``."""

    category: str | None  # Default for rows without a category; None for the user's own questions.
    by_pair: Mapping[tuple[str, str], tuple[Question, ...]]  # By category and language.

    @classmethod
    def build(
        cls,
        source: str | tuple[Question, ...],
        *,
        sensitive: bool = False,
        without: frozenset[str] = frozenset(),
    ) -> Bank:
        """Takes the built-in questions if ``source`` is a category, else only the given questions.

        Leaves out questions that need anything in ``without``, and sensitive ones unless ``sensitive`` is true.
        """
        if isinstance(source, str):
            found = {pair: load_builtin_bank(*pair) for pair in PAIRS}
        else:
            found = {pair: tuple(item for item in source if question_fits(item, *pair)) for pair in PAIRS}
        by_pair = {
            pair: tuple(item for item in items if (sensitive or not item.sensitive) and not item.needs & without)
            for pair, items in found.items()
            if items
        }
        return cls(source if isinstance(source, str) else None, by_pair)

    def questions(self, category: str, language: str) -> tuple[Question, ...]:
        return self.by_pair.get((category, language), ())

    @property
    def languages(self) -> tuple[str, ...]:
        return tuple(language for language in LANGUAGES if any(language == pair[1] for pair in self.by_pair))

    def default_category(self, language: str) -> str:
        return self.category or next((category for category, own in self.by_pair if own == language), CATEGORIES[0])

    @property
    def digest(self) -> str:
        """16 hexadecimal digits, changed by any edit of the questions."""
        questions = sorted((*pair, item.id, item.text) for pair, items in self.by_pair.items() for item in items)
        return blake2b(json.dumps(questions).encode(), digest_size=8).hexdigest()


def question_fits(question: Question, category: str, language: str) -> bool:
    return question.category in (None, category) and question.language in (None, language)


@cache
def load_builtin_bank(category: str, language: str) -> tuple[Question, ...]:
    name = f"{category}.{language}.jsonl"
    data = resources.files("persqa_client.questions").joinpath("banks", name).read_bytes()
    return tuple(replace(question, category=category, language=language) for question in parse_bank(data, name))


def read_bank_file(path: Path) -> tuple[Question, ...]:
    """Raises SettingsError for an unreadable or invalid file."""
    return parse_bank(read_bank_bytes(path), describe_reference(str(path)))


def read_bank_bytes(path: Path) -> bytes:
    """Raises SettingsError for an unreadable file."""
    name = describe_reference(str(path))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        meant = suggest_category(str(path)) or suggest_path(path)
        raise SettingsError(
            f"The question bank {name} does not exist{meant}; give a category ({', '.join(CATEGORIES)}) or the path of "
            "a file."
        ) from error
    except IsADirectoryError as error:
        raise SettingsError(f"The question bank {name} is a folder; give the path of a file.") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise SettingsError(f"The question bank {name} can't be read ({reason}).") from error
    if len(data) > MAX_FILE_BYTES:
        raise SettingsError(
            f"The question bank {name} is larger than {MAX_FILE_BYTES // 10**6} MB; give a file of questions."
        )
    return data


def suggest_category(text: str) -> str:
    try:
        similar: str | None = parse_category(text)
    except ValueError:
        similar = find_similar_name(text, CATEGORIES)
    return "" if similar is None else f" (did you mean {similar}?)"


def parse_bank(data: bytes, name: str) -> tuple[Question, ...]:
    """Raises SettingsError with the first problem of ``inspect_bank``, and for a bank without a question."""
    questions, problems = inspect_bank(data, name)
    if problems:
        raise SettingsError(f"{problems[0]}.")
    if not questions:
        raise SettingsError(f"The question bank {name} is empty; write one question on each line, with {{tag}} in it.")
    return questions


def inspect_bank(data: bytes, name: str) -> tuple[tuple[Question, ...], list[str]]:
    """The questions of JSON Lines, or of plain text with one question per line and ``#`` comments, and all problems.

    JSON Lines are detected by the suffix of ``name`` or the first line. A problem begins with its file and line, and
    has no full stop. Raises SettingsError for a text that is not UTF-8.
    """
    lines = list(numbered_lines(decode_utf8(data, name)))
    as_json = is_json_lines(name, lines)
    duplicates = DuplicateFinder()
    questions: list[Question] = []
    problems: list[str] = []
    for number, line in lines:
        if line.startswith("#") and not as_json:
            continue
        question, found = parse_question(line, as_json=as_json)
        if question is not None and not (found := duplicates.add(question, number)):
            questions.append(question)
        problems += [f"{name}, line {number}: {problem}" for problem in found]
    return tuple(questions), problems


def is_json_lines(name: str, lines: Sequence[tuple[int, str]]) -> bool:
    first = next((line for _, line in lines if not line.startswith("#")), "")
    return Path(name).suffix.lower() in JSON_SUFFIXES or JSON_START.match(first) is not None


def decode_utf8(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{name}, line {number}: this is not UTF-8; save the file as UTF-8 text.") from error


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(LINE_END.split(text), 1):
        if line.strip():
            yield number, line.strip()


# Messages have the mistake and its correction; ``inspect_bank`` adds file and line.


def parse_question(line: str, *, as_json: bool) -> tuple[Question | None, list[str]]:
    """None, and all problems, for a line that is not a question."""
    try:
        fields = parse_json_object(line) if as_json else {"text": line}
    except ValueError as error:
        return None, [str(error)]
    return build_question(fields)


def parse_json_object(line: str) -> dict[str, Any]:
    try:
        fields = load_value(line.encode())
    except ValueError as error:
        reason = str(error).removeprefix("not JSON: ")
        raise ValueError(f"invalid JSON ({reason}); write one JSON object on each line") from error
    if not isinstance(fields, dict):
        raise ValueError('the line is not a JSON object; write {"text": "…"}')
    return fields


def build_question(fields: dict[str, Any]) -> tuple[Question | None, list[str]]:
    known = f"{', '.join(QUESTION_KEYS[:-1])} or {QUESTION_KEYS[-1]}"
    problems = [f"unknown key {key!r}; use {known}" for key in fields if key not in QUESTION_KEYS]
    values: dict[str, Any] = {}
    for key, read in READERS.items():
        try:
            values[key] = read(fields)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        return None, problems
    text = values["text"]
    values["language"] = values["language"] or prompt_language(text)
    return Question(**{**values, "id": values["id"] or derive_id(text)}), []


def question_text(fields: dict[str, Any]) -> str:
    text = fields.get("text")
    if text is None or text == "":
        raise ValueError('the question is missing; write it as "text"')
    if not isinstance(text, str):
        raise ValueError("text must be a string; put it in quotes")
    text = check_printable(text.strip(), "text")
    if tag := WRITTEN_TAG.search(text):
        raise ValueError(
            f"the question has the tag {tag[0]}; write {{tag}} instead, which is replaced by the tag of each row"
        )
    if braces := [brace for brace in dict.fromkeys(BRACES.findall(text)) if brace != "{tag}"]:
        noun = "placeholder" if len(braces) == 1 else "placeholders"
        raise ValueError(f"unknown {noun} {' and '.join(braces)}; use {{tag}}, and no other braces")
    if "{tag}" not in text:
        raise ValueError("the question has no {tag}; write it where the tag belongs")
    if not normalise_words(text.replace("{tag}", "")):
        raise ValueError("the question is only {tag}; write a question about it")
    return text


def optional_string(fields: dict[str, Any], key: str) -> str | None:
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} must be a non-empty string; write it in quotes, or leave the key out")
    return check_printable(value.strip(), key)


def parse_optional(fields: dict[str, Any], key: str, parse: Callable[[str], str]) -> str | None:
    text = optional_string(fields, key)
    return None if text is None else parse(text)


def check_printable(text: str, key: str) -> str:
    if any(unicodedata.category(character) in UNPRINTABLE_CATEGORIES for character in text):
        raise ValueError(f"{key} has a control character or a line break; remove it")
    return text


def boolean_value(fields: dict[str, Any], key: str) -> bool:
    value = fields.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false; write it without quotes")
    return value


def string_list(fields: dict[str, Any], key: str) -> list[str]:
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f'{key} must be a list of strings, for example ["face"]')
    return value


def read_needs(fields: dict[str, Any]) -> frozenset[str]:
    return frozenset(map(parse_need, string_list(fields, "needs")))


READERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "text": question_text,
    "category": lambda fields: parse_optional(fields, "category", parse_category),
    "language": lambda fields: parse_optional(fields, "language", parse_language),
    "id": lambda fields: optional_string(fields, "id"),
    "needs": read_needs,
    "sensitive": lambda fields: boolean_value(fields, "sensitive"),
}


def derive_id(text: str) -> str:
    return blake2b(normalise_words(text).encode(), digest_size=6).hexdigest()


def normalise_words(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if unicodedata.category(character)[0] in "LMN")


@dataclass(slots=True)
class DuplicateFinder:
    """Finds questions with equal ids or words that the same row could get."""

    # Kind of comparison, value and language → category → line of the first such question.
    lines: dict[tuple[str, str, str | None], dict[str | None, int]] = field(default_factory=dict)

    def add(self, question: Question, line: int) -> list[str]:
        """The problem of a question that is the same as an earlier one."""
        problems = []
        for noun, value, advice in (
            ("question", normalise_words(question.text), "leave one out"),
            ("id", question.id, "give each its own"),
        ):
            categories = self.lines.setdefault((noun, value, question.language), {})
            for category, earlier in categories.items():
                if category is None or question.category in (None, category):
                    problems.append(f"the {noun} is the same as in line {earlier}; {advice}")
                    break
            categories.setdefault(question.category, line)
        # Equal words have equal default ids.
        return problems[:1]
