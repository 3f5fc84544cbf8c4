"""Differences of a server's API: constraint and prefill forms, renamed and unsupported fields."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

import orjson

from persqa_client.client.error_body import MAX_WORDS_CHARS, ErrorBody
from persqa_client.types import Json

# Servers silently ignore unknown fields, so a probe chooses the form.

# Form → its request field: vLLM from 0.12, vLLM before 0.12, hosted models and others.
CONSTRAINT_FORMS = {
    "structured_outputs": "structured_outputs",
    "guided_regex": "guided_regex",
    "json_schema": "response_format",
}
# Form → its fields: vLLM; Alibaba Model Studio, as a field of the message.
PREFILL_FORMS = {
    "continue_final_message": ("continue_final_message", "add_generation_prompt"),
    "partial": ("partial",),
}
STREAM_FIELDS: Json = {"stream": True, "stream_options": {"include_usage": True}}

# OpenAI's reasoning models accept only the new name, many other servers only the old one.
RENAMED_FIELDS = {"max_tokens": "max_completion_tokens"}

OPTIONAL_FIELDS = frozenset(
    {"temperature", "top_p", "seed", *RENAMED_FIELDS, *RENAMED_FIELDS.values(), *STREAM_FIELDS}
).union(CONSTRAINT_FORMS.values(), *PREFILL_FORMS.values())

ANSWER_KEY = "answer"  # key of the answer in the JSON object
ANY_CHARACTER = r"[\s\S]"
# Some servers' grammars do not escape characters that JSON must escape, so patterns leave them out.
ESCAPED_IN_JSON = r'"\\\x00-\x1f'

UNSUPPORTED_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter", "extra_forbidden"})

# Codes that refuse the field itself, not only its value.
UNSUPPORTED_FIELD_CODES = UNSUPPORTED_CODES - {"unsupported_value"}

# Words directly before or after the name of a refused field.
NOUN = r"(?:(?:request |keyword )?(?:parameter|argument|field|name|value|option|input|type)s?\b ?)"
NEGATION = r"(?:not (?:supported|permitted|allowed|available)|unsupported|unavailable|deprecated|unrecogni[sz]ed)"
REFUSAL = r"(?:do not|does not|don't|doesn't) support"
SCOPE = r"(?: (?:on|for|by|with) (?:this|the) \w+)?"
PREFIX = rf"(?:{NEGATION}{SCOPE}|unknown|unexpected|{REFUSAL}|cannot find):? (?:the )?{NOUN}?(?:supplied)?:? ?"
# A part of the field may be named, and its value: response_format.type `json_schema`.
PATH = r"(?:\.[\w.]+)?(?: [`'\"][^`'\"]*[`'\"])?"
SUFFIX = rf"{PATH}:?\s+(?:{NOUN}|extra (?:inputs )?)?(?:(?:is|are) )?(?:currently )?{NEGATION}"
# A field that accepts a single value is refused with any other: "invalid temperature: only 1 is allowed".
ONE_VALUE = r":? only \S+ (?:is|are) (?:allowed|supported|accepted)"
EXCLUSIVE = re.compile(r"\bcannot both be\b|\bmutually exclusive\b", re.IGNORECASE)

UNSUPPORTED_MESSAGE = re.compile(
    rf"{NEGATION}|{REFUSAL}|{ONE_VALUE}|{EXCLUSIVE.pattern}|unknown (?:name|field|parameter|argument)|cannot find field"
    r"|unexpected (?:keyword|field|parameter)",
    re.IGNORECASE,
)
# A limit of the value: "max_tokens is not supported above 4096".
VALUE_LIMIT = re.compile(
    r"\b(?:above|below|beyond|over|under|outside|between|range|exceed\w*|at (?:most|least)|up to|max(?:imum)?"
    r"|min(?:imum)?|limit|(?:more|less|greater|larger|higher|smaller|lower) than)\b[^.;\d]{0,20}\d|[<>≤≥]=? ?\d",
    re.IGNORECASE,
)
# A message with one of these words is about the row, even if it mentions a field.
ABOUT_THE_ROW = re.compile(r"\b(images?|pictures?|contents?|files?|media)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    constraint: str | None = None  # form that the server supports
    prefill: str | None = None
    renamed: frozenset[str] = frozenset()  # refused fields
    dropped: frozenset[str] = frozenset()
    sends_uuids: bool = False  # sends uuids with images, so that the images need not be sent again

    @property
    def can_stream_uploads(self) -> bool:
        """Whether the beginning of an answer can show that the server has the images."""
        return self.sends_uuids and self.dropped.isdisjoint(STREAM_FIELDS)

    @property
    def active_constraint(self) -> str | None:
        refused = self.constraint is None or CONSTRAINT_FORMS[self.constraint] in self.dropped
        return None if refused else self.constraint

    @property
    def active_prefill(self) -> str | None:
        refused = self.prefill is None or not self.dropped.isdisjoint(PREFILL_FORMS[self.prefill])
        return None if refused else self.prefill

    def adapt_to_refusal(self, field: str) -> Dialect | None:
        original = next((old for old, new in RENAMED_FIELDS.items() if new == field), field)
        if field in RENAMED_FIELDS and field not in self.renamed | self.dropped:
            return replace(self, renamed=self.renamed | {field})
        if original in self.dropped:
            return None
        return replace(self, dropped=self.dropped | {original})

    def with_refusals(self, other: Dialect, ignoring: Collection[str] = ()) -> Dialect:
        dropped = self.dropped | (other.dropped - frozenset(ignoring))
        return replace(self, renamed=self.renamed | other.renamed, dropped=dropped)

    def describe_changes(self) -> list[str]:
        renamed = [f"{name} is sent as {RENAMED_FIELDS[name]}" for name in sorted(self.renamed - self.dropped)]
        return renamed + [f"{name} is left out: the server refuses it" for name in sorted(self.dropped)]


def constraint_fields(form: str, pattern: str) -> Json:
    if form == "structured_outputs":
        return {"structured_outputs": {"regex": pattern}}
    if form == "guided_regex":
        return {"guided_regex": pattern}
    if form != "json_schema":
        raise ValueError(f"{form} is not a form of constraint")
    # Unanchored JSON Schema patterns match anywhere in a string.
    inner = leave_out_escaped(pattern)
    answer = {"type": "string", "pattern": f"^(?:{inner})$" if "|" in inner else f"^{inner}$"}
    schema = {
        "type": "object",
        "properties": {ANSWER_KEY: answer},
        "required": [ANSWER_KEY],
        "additionalProperties": False,
    }
    json_schema = {"name": ANSWER_KEY, "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": json_schema}}


def leave_out_escaped(pattern: str) -> str:
    """Returns the pattern without characters that JSON escapes, which are also excluded from negated classes.

    In ``pattern``, quotation marks and ``\\n`` must only occur in character classes that have other members.
    """
    plain = pattern.replace('"', "").replace(r"\n", "").replace("[^", f"[^{ESCAPED_IN_JSON}")
    return plain.replace(ANY_CHARACTER, f"[^{ESCAPED_IN_JSON}]")


def prefill_fields(form: str) -> Json:
    """The request's fields; ``partial`` is a field of the message instead."""
    if form == "continue_final_message":
        return {"continue_final_message": True, "add_generation_prompt": False}
    return {}


def prefill_message(form: str, text: str) -> Json:
    mark = {"partial": True} if form == "partial" else {}
    return {"role": "assistant", "content": text, **mark}


def wraps_answer(form: str | None) -> bool:
    """Whether answers under this constraint are JSON objects."""
    return form == "json_schema"


def unwrap_json_answer(text: str) -> str:
    """The answer in the JSON object of ``json_schema``; other texts, such as truncated JSON, unchanged."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    answer = value.get(ANSWER_KEY) if isinstance(value, dict) else None
    return answer if isinstance(answer, str) else text


def join_prefill(prefill: str, text: str) -> str:
    """The whole answer, whether or not the server repeats the prefill."""
    if text.lstrip().startswith(prefill):
        return text.lstrip()
    needs_space = prefill.endswith(">") and text[:1].isascii() and text[:1].isalnum()
    return f"{prefill} {text}" if needs_space else prefill + text


def find_refused_field(error: ErrorBody, optional_fields: Collection[str]) -> str | None:
    """The optional field that a 400 or 422 refuses; None for other errors.

    A refused value (``max_tokens`` beyond the context) is not a refused field.
    """
    for one in error.objects:
        # FastAPI's format: {"type": "extra_forbidden", "loc": ["body", "seed"], …}.
        kind, place = one.get("type"), one.get("loc")
        if isinstance(kind, str) and kind in UNSUPPORTED_CODES and isinstance(place, list):
            named = (part for part in place if isinstance(part, str) and part in optional_fields)
            if (field := next(named, None)) is not None:
                return field
    has_code = not error.codes.isdisjoint(UNSUPPORTED_CODES)
    names_field = not error.codes.isdisjoint(UNSUPPORTED_FIELD_CODES)
    for one in error.objects:
        parameter, said = one.get("param"), one.get("message")
        message = said[:MAX_WORDS_CHARS] if isinstance(said, str) else ""
        if not isinstance(parameter, str) or parameter not in optional_fields:
            continue
        has_words = UNSUPPORTED_MESSAGE.search(message) is not None
        if (has_code or has_words) and (names_field or not VALUE_LIMIT.search(message)):
            return parameter
    for text in error.texts:
        message = text[:MAX_WORDS_CHARS]
        start, field = _find_named_field(message, optional_fields, has_code)
        if field is not None and (names_field or not VALUE_LIMIT.search(_sentence_at(message, start))):
            return field
    return None


def _find_named_field(message: str, optional_fields: Collection[str], has_code: bool) -> tuple[int, str | None]:
    """The refused field, and where it is refused."""
    if (not has_code and not UNSUPPORTED_MESSAGE.search(message)) or ABOUT_THE_ROW.search(message):
        return 0, None
    exclusive = EXCLUSIVE.search(message) is not None
    found = [
        (match.start(), name)
        for name in optional_fields
        if (match := re.search(_mention(name) if has_code or exclusive else _refusal_pattern(name), message))
    ]
    # The first field mentioned counts; a server may recommend another one after it. Of two that exclude each other,
    # the second is left out: temperature stays, top_p goes.
    return (max(found) if exclusive else min(found)) if found else (0, None)


def _sentence_at(message: str, place: int) -> str:
    end = message.find(". ", place)
    return message[message.rfind(". ", 0, place) + 1 : end if end >= 0 else None]


def _mention(name: str) -> str:
    return rf"\b{re.escape(name)}\b"


def _refusal_pattern(name: str) -> str:
    head, *tail = name.split("_")
    camel = head + "".join(part.title() for part in tail)
    word = rf"(?:{re.escape(name)}|{re.escape(camel)})"
    quoted = rf"['\"`‘“\[]{word}(?:\.[\w.]+)?['\"`’”\]]"
    return rf"{quoted}|(?i:{PREFIX})\b{word}\b|\b{word}\b(?i:{SUFFIX}|{ONE_VALUE})"
