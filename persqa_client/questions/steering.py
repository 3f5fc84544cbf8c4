"""The user's own texts for the model: templates with ``{question}``, ``{tag}``, ``{category}`` and fields of the row.

Only plain names are replaced, without the attributes, indexes and formats of ``str.format``: a template may come from a
file of somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Self

from persqa_client.errors import RowError
from persqa_client.jsonl import load_object
from persqa_client.questions.prompts import build_prompt
from persqa_client.types import AnswerStyle

PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
# Letters and digits, with single spaces or hyphens between them, as in names of columns.
FIELD_NAME = re.compile(r"[^\W\d]\w*(?:[ -]\w+)*")
FORMAT_MARKS = re.compile(r"[.:!\[\]]")
# Training code replaces these by images, or takes them for the end of a turn.
MARKS = re.compile(r"<(?:image|video|audio)>|<\|[^<>|\n]{1,40}\|>|</?s>|\[/?INST\]", re.IGNORECASE)
# A request with half of a surrogate pair can't be sent.
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


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
        raise ValueError("has no {question}, so the model would answer another question than the one that is written")


@dataclass(frozen=True, slots=True)
class Steering:
    """Texts that replace the built-in ones. Make it with ``make_steering``, which checks them."""

    system: Template | None = None
    prompt: Template | None = None
    answer_style: AnswerStyle = "sentences"
    # Whether a row's field of this name replaces the run's text.
    row_system: bool = False
    row_prompt: bool = False

    def build(self, question: str, tag: str, name: str, category: str, line: bytes | None) -> tuple[str, str]:
        """System text and prompt, with ``name`` in place of the tag: the tag itself, or a surrogate. ``line``: the row
        as JSON; None if it is unknown, so that its fields are left empty.

        Raises RowError (``bad_field`` or ``bad_prompt``).
        """
        system, prompt = build_prompt(question, name, category, self.answer_style)
        if self.system is self.prompt is None and not (self.row_system or self.row_prompt):
            return system, prompt
        fields = _Fields({"question": question, "tag": name, "category": category}, line)
        own_system = fields.template("system") if self.row_system else None
        own_prompt = fields.template("prompt") if self.row_prompt else None
        if (template := own_system or self.system) is not None:
            system = fields.render(template, "system text").replace(tag, name)
        if (template := own_prompt or self.prompt) is not None:
            prompt = fields.render(template, "prompt").replace(tag, name)
        return system, prompt


DEFAULT_STEERING = Steering()


def make_steering(
    system: str | None, prompt: str | None, answer_style: AnswerStyle, row_fields: Collection[str]
) -> Steering:
    """Raises ValueError, with the name of the flag, for a text that can't be used."""
    templates: dict[str, Template | None] = {"system": None, "prompt": None}
    for name, text in (("system", system), ("prompt", prompt)):
        if text is not None:
            try:
                templates[name] = parse_template(text.strip())
                if name == "prompt":
                    check_prompt(parse_template(text.strip()))
            except ValueError as error:
                raise ValueError(f"--{name} {error}") from error
    return Steering(
        **templates, answer_style=answer_style, row_system="system" in row_fields, row_prompt="prompt" in row_fields
    )


class _Fields:
    """What a template may name: the task's own values, then the fields of the row."""

    def __init__(self, values: dict[str, str], line: bytes | None) -> None:
        self._values = values
        self._line = line

    @cached_property
    def _row(self) -> dict[str, Any]:
        return load_object(self._line) if self._line is not None else {}

    def template(self, name: str) -> Template | None:
        """The row's own text, if it has one."""
        text = self._row.get(name)
        if text is None or text == "":
            return None
        if not isinstance(text, str):
            raise RowError("bad_field", f"the field {name!r} must be text")
        try:
            template = parse_template(text.strip())
            if name == "prompt":
                check_prompt(template)
        except ValueError as error:
            raise RowError("bad_prompt", f"the field {name!r} {error}") from error
        return template

    def render(self, template: Template, user: str) -> str:
        text = template.render(lambda name: self._value(name, user))
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
