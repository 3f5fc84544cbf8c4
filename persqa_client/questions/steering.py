"""The user's own texts for the model: templates with ``{question}``, ``{tag}``, ``{category}`` and fields of the row.

Only plain names are replaced, without the attributes, indexes and formats of ``str.format``: a template may come from a
file of somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Self

from persqa_client.errors import RowError
from persqa_client.jsonl import load_object
from persqa_client.questions.prompts import build_prompt
from persqa_client.suggestions import find_similar_name
from persqa_client.types import AnswerStyle

PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
# Letters and digits, with single spaces or hyphens between them, as in names of columns.
FIELD_NAME = re.compile(r"[^\W\d]\w*(?:[ -]\w+)*")
FORMAT_MARKS = re.compile(r"[.:!\[\]]")
# Training code replaces these by images, or takes them for the end of a turn.
MARKS = re.compile(r"<(?:image|video|audio)>|<\|[^<>|\n]{1,40}\|>|</?s>|\[/?INST\]", re.IGNORECASE)
# A request with half of a surrogate pair can't be sent.
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# What a template may name whatever the row has.
TASK_FIELDS = ("question", "tag", "category")


def check_text(text: str) -> None:
    """Raises ValueError for a text that can't be sent, or that a chat template would read as more than text."""
    if not text.isascii() and (half := LONE_SURROGATE.search(text)):
        raise ValueError(f"has half of a character in it (\\u{ord(half[0]):04x}); write all of it, or nothing")
    if ("<" in text or "[" in text) and (mark := MARKS.search(text)):
        raise ValueError(f"has {mark[0]} in it; remove it, images need no mark")


@dataclass(frozen=True, slots=True)
class Template:
    """``pieces``: texts, and at odd places names of fields.

    >>> template = Template.parse("{question} Name the {brand}, as {{brand}}.")
    >>> template.fields, template.render({"question": "What is <mam>?", "brand": "car"}.__getitem__)
    (('question', 'brand'), 'What is <mam>? Name the car, as {brand}.')
    """

    pieces: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError with the reason."""
        check_text(text)
        pieces, last, plain = [], 0, ""
        for found in PIECE.finditer(text):
            plain += text[last : found.start()]
            last = found.end()
            if found[0] in ("{{", "}}"):
                plain += found[0][0]
            elif found[1] is None:
                raise ValueError(f"has a single {found[0]}; write {found[0] * 2} for a brace")
            else:
                pieces += [plain, parse_name(found[1])]
                plain = ""
        return cls((*pieces, plain + text[last:]))

    @property
    def fields(self) -> tuple[str, ...]:
        return self.pieces[1::2]

    def render(self, value_of: Callable[[str], str]) -> str:
        return "".join([value_of(piece) if index % 2 else piece for index, piece in enumerate(self.pieces)])


@lru_cache(maxsize=64)
def parse_template(text: str) -> Template:
    """Raises ValueError like ``Template.parse``. Rows often share their texts."""
    return Template.parse(text)


def parse_name(written: str) -> str:
    name = written.strip()
    if FIELD_NAME.fullmatch(name):
        return name
    if FORMAT_MARKS.search(name) and FIELD_NAME.match(name):
        raise ValueError(f"has {{{written}}}; only names are replaced, without attributes, indexes and formats")
    raise ValueError(f"has {{{written}}}, which is no name of a field; write {{{{ and }}}} for braces")


def check_prompt(template: Template) -> None:
    """Raises ValueError if the model would not read the question that the row is about."""
    if "question" not in template.fields:
        similar = find_similar_name("question", template.fields)
        meant = "" if similar is None else f" (is it meant by {{{similar}}}?)"
        raise ValueError(
            f"has no {{question}}{meant}, so the model would answer another question than the one that is written"
        )


@dataclass(frozen=True, slots=True)
class Steering:
    """Texts that replace the built-in ones. Make it with ``make_steering``, which checks them."""

    system: Template | None = None
    prompt: Template | None = None
    answer_style: AnswerStyle = "sentences"
    # Whether a row's field of this name replaces the run's text.
    row_system: bool = False
    row_prompt: bool = False
    # Who the main character is, in words that are put into a sentence, and the row's field that replaces them.
    description: Template | None = None
    description_key: str | None = None

    def list_row_fields(self) -> Iterator[tuple[str, str]]:
        """The fields that each row must have, after the names of the flags that name them."""
        for flag, template in (("system", self.system), ("prompt", self.prompt), ("describe", self.description)):
            for name in () if template is None else template.fields:
                if name not in TASK_FIELDS:
                    yield flag, name

    def describe(self, question: str, tag: str, category: str, line: bytes | None) -> str:
        """The description of the main character, with the tag; empty if there is none, or if ``line`` is None and it
        depends on the row.

        Raises RowError (``bad_field`` or ``bad_prompt``).
        """
        values = {"question": question, "tag": tag, "category": category}
        if line is None and (self.description_key is not None or self._needs_row(values)):
            return ""
        fields = _Fields(values, line)
        if self.description_key is not None and (own := fields.text(self.description_key)) is not None:
            return fields.check(own, f"field {self.description_key!r}")
        return "" if self.description is None else fields.render(self.description, "description")

    def _needs_row(self, values: Collection[str]) -> bool:
        return self.description is not None and not set(self.description.fields) <= set(values)

    def build(
        self, question: str, tag: str, name: str, category: str, line: bytes | None, introduction: str = ""
    ) -> tuple[str, str]:
        """System text and prompt, with ``name`` in place of the tag: the tag itself, or a surrogate. ``line``: the row
        as JSON; None if it is unknown, so that its fields are left empty. ``introduction`` begins an own prompt.

        Raises RowError (``bad_field`` or ``bad_prompt``).
        """
        system, prompt = build_prompt(question, name, category, self.answer_style, introduction)
        if self.system is self.prompt is None and not (self.row_system or self.row_prompt):
            return system, prompt
        fields = _Fields({"question": question, "tag": name, "category": category}, line)
        own_system = fields.template("system") if self.row_system else None
        own_prompt = fields.template("prompt") if self.row_prompt else None
        if (template := own_system or self.system) is not None:
            system = fields.render(template, "system text").replace(tag, name)
        if (template := own_prompt or self.prompt) is not None:
            own = fields.render(template, "prompt").replace(tag, name)
            prompt = f"{introduction}\n{own}" if introduction else own
        return system, prompt


DEFAULT_STEERING = Steering()


def make_steering(
    system: str | None,
    prompt: str | None,
    answer_style: AnswerStyle,
    row_fields: Collection[str],
    description: str | None = None,
    description_key: str | None = None,
) -> Steering:
    """Raises ValueError, with the name of the flag, for a text that can't be used."""
    own_prompt = parse_flag("prompt", prompt)
    if own_prompt is not None:
        try:
            check_prompt(own_prompt)
        except ValueError as error:
            raise ValueError(f"--prompt {error}") from error
    return Steering(
        parse_flag("system", system),
        own_prompt,
        answer_style,
        row_system="system" in row_fields,
        row_prompt="prompt" in row_fields,
        description=parse_flag("describe", description),
        description_key=description_key,
    )


def parse_flag(name: str, text: str | None) -> Template | None:
    try:
        return None if text is None else parse_template(text.strip())
    except ValueError as error:
        raise ValueError(f"--{name} {error}") from error


class _Fields:
    """The values that a template may name: those of the task, then the fields of the row."""

    def __init__(self, values: dict[str, str], line: bytes | None) -> None:
        self._values = values
        self._line = line

    @cached_property
    def _row(self) -> dict[str, Any]:
        return load_object(self._line) if self._line is not None else {}

    def text(self, name: str) -> str | None:
        text = self._row.get(name)
        if text is None or text == "":
            return None
        if not isinstance(text, str):
            raise RowError("bad_field", f"the field {name!r} must be text")
        return text

    def template(self, name: str) -> Template | None:
        """The row's own text, if it has one."""
        text = self.text(name)
        if text is None:
            return None
        try:
            template = parse_template(text.strip())
            if name == "prompt":
                check_prompt(template)
        except ValueError as error:
            raise RowError("bad_prompt", f"the field {name!r} {error}") from error
        return template

    def render(self, template: Template, user: str) -> str:
        return self.check(template.render(lambda name: self._value(name, user)), user)

    def check(self, text: str, user: str) -> str:
        try:
            check_text(text)
        except ValueError as error:
            raise RowError("bad_prompt", f"the {user} {error}") from error
        return text

    def _value(self, name: str, user: str) -> str:
        if (value := self._values.get(name)) is not None:
            return value
        if self._line is None:
            return ""
        value = self._row.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        reason = "must be text or a number" if value not in (None, "") else "is missing or empty"
        raise RowError("bad_field", f"the field {name!r}, which the {user} names, {reason}")
